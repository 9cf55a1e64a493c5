// Command reaper is a host that collects every child it can, as an init does, while it runs containers.
//
//	usage: reaper URI ARCHIVE
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"pouch.dev/pouch"
)

const (
	workers  = 4
	rounds   = 4
	exitCode = 5
)

type reaper struct {
	mutex    sync.Mutex
	statuses map[int]syscall.WaitStatus
}

func (r *reaper) run() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil || pid <= 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		r.mutex.Lock()
		r.statuses[pid] = status
		r.mutex.Unlock()
	}
}

// Waits until it has the status of a child of our own.
func (r *reaper) wait(pid int) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		r.mutex.Lock()
		status, found := r.statuses[pid]
		r.mutex.Unlock()
		if found && status.ExitStatus() == exitCode {
			return nil
		}
		if found {
			return fmt.Errorf("child %d ended with %d", pid, status.ExitStatus())
		}
	}
	return fmt.Errorf("the exit status of child %d never came", pid)
}

func work(client *pouch.Client, r *reaper) error {
	for i := 0; i < rounds; i++ {
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", fmt.Sprintf("exit %d", exitCode)}, nil)
		if err != nil {
			return err
		}
		output, err := client.Run(context.Background(), pouch.RunConfig{
			Image: "busybox", Cmd: []string{"echo", "hi"}, Remove: true,
		})
		if err != nil || string(output) != "hi\n" {
			return fmt.Errorf("run: %q, %w", output, err)
		}
		if err := r.wait(pid); err != nil {
			return err
		}
	}
	return nil
}

func host(uri, archive string) error {
	r := &reaper{statuses: map[int]syscall.WaitStatus{}}
	go r.run()
	client, err := pouch.Open(uri)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.LoadImages(context.Background(), archive); err != nil {
		return err
	}
	errors := make(chan error, workers)
	for i := 0; i < workers; i++ {
		go func() { errors <- work(client, r) }()
	}
	for i := 0; i < workers; i++ {
		if err := <-errors; err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := host(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "reaper:", err)
		os.Exit(1)
	}
}
