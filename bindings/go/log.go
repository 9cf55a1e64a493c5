package pouch

/*
#include <pouch.h>
*/
import "C"

import (
	"context"
	"encoding/json"
	"time"
)

// LogLevel says how much of the library's log is wanted.
type LogLevel uint32

// The levels, each with those before it.
const (
	LogErrors   LogLevel = 1
	LogWarnings LogLevel = 2
	LogInfo     LogLevel = 3
	LogDebug    LogLevel = 4
	LogTrace    LogLevel = 5
)

// LogRecord is one thing that the library has to say.
type LogRecord struct {
	Time      time.Time `json:"time"`
	Level     string    `json:"level"` // "error", "warning", "info", "debug", "trace"
	Component string    `json:"component"`
	Message   string    `json:"message"`
	PID       int       `json:"pid"`
	Root      string    `json:"root"`       // id of the engine root; "" where not known, like the next two
	Object    string    `json:"object"`     // a container, an image, …
	RequestID string    `json:"request_id"` // of the call that it belongs to
}

// ForwardLogs calls handle, from one goroutine, with the records of this process up to the level until stop is called.
func ForwardLogs(level LogLevel, handle func(LogRecord)) (stop func(), err error) {
	var failure *C.pouch_error_t
	var raw *C.pouch_stream_t
	if err := takeError(C.pouch_log_open(C.uint32_t(level), &raw, &failure), failure); err != nil {
		return nil, err
	}
	stream, err := newStream(raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stream.Close()
		for {
			frame, err := stream.Next(ctx)
			if err != nil { // the end, or stop
				return
			}
			var record LogRecord
			if json.Unmarshal(frame.Data, &record) == nil {
				handle(record)
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}
