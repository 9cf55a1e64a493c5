// Command hello runs a container and prints what it says.
//
//	usage: hello [URI]
package main

import (
	"context"
	"fmt"
	"os"

	"pouch.dev/pouch"
)

func hello(uri string) error {
	client, err := pouch.Open(uri) // "": $POUCH_HOST, the config file, the daemon's socket
	if err != nil {
		return err
	}
	defer client.Close()
	output, err := client.Run(context.Background(), pouch.RunConfig{
		Image:   "busybox",
		Cmd:     []string{"echo", "hello from a container"},
		Network: "none",
		Remove:  true,
	})
	fmt.Print(string(output))
	return err
}

func main() {
	uri := ""
	if len(os.Args) > 1 {
		uri = os.Args[1]
	}
	if err := hello(uri); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}
