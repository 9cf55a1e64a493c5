// Package pouch runs containers, in this process (embed://) or through a daemon (unix://, tcp://), with the same code
// and the same results. It is a thin layer over the C library libpouch, found by pkg-config.
//
//	client, err := pouch.Open("embed://")
//	...
//	output, err := client.Run(ctx, pouch.RunConfig{Image: "busybox", Cmd: []string{"echo", "hi"}, Network: "none"})
//
// A context's deadline and cancellation end every call within 50 ms; what an engine has begun it finishes by itself.
// All types may be used from many goroutines; a Stream has one reader and one writer at a time.
package pouch
