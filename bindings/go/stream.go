package pouch

// #include <pouch.h>
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Channel says what a frame carries.
type Channel uint32

// The channels of pouch/stream.h.
const (
	Stdin   Channel = 0
	Stdout  Channel = 1
	Stderr  Channel = 2
	Data    Channel = 3
	Message Channel = 4
)

// Frame is one piece of a stream: bytes, or on Message one whole JSON document.
type Frame struct {
	Channel Channel
	Dropped uint32 // frames lost before this one because the reader was slow
	Data    []byte
}

// Stream is a running operation. Waiting costs no thread: the runtime's poller watches the stream's descriptor.
type Stream struct {
	mutex  sync.RWMutex
	handle *C.pouch_stream_t
	poll   *os.File
}

func newStream(handle *C.pouch_stream_t) (*Stream, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(C.pouch_stream_pollfd(handle)), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		C.pouch_stream_cancel(handle)
		C.pouch_stream_free(handle)
		return nil, &Error{Code: ResourceExhausted, Message: "watch a stream: " + errno.Error()}
	}
	return &Stream{handle: handle, poll: os.NewFile(fd, "pouch-stream")}, nil
}

// Next waits for the next frame; io.EOF once everything was read and the operation ended well.
func (s *Stream) Next(ctx context.Context) (Frame, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	if s.handle == nil {
		return Frame{}, &Error{Code: Closed, Message: "the stream is closed"}
	}
	stop, err := s.watch(ctx)
	if err != nil {
		return Frame{}, err
	}
	defer stop()
	raw, err := s.poll.SyscallConn()
	if err != nil {
		return Frame{}, err
	}
	var frame Frame
	var result error
	waited := raw.Read(func(uintptr) bool {
		status := C.pouch_status_t(0)
		frame, status, result = s.next()
		return status != C.POUCH_AGAIN
	})
	if errors.Is(waited, os.ErrDeadlineExceeded) {
		return Frame{}, ctx.Err()
	}
	if waited != nil {
		return Frame{}, waited
	}
	return frame, result
}

// next asks once, without waiting.
func (s *Stream) next() (Frame, C.pouch_status_t, error) {
	raw := C.pouch_frame_t{struct_size: C.sizeof_pouch_frame_t}
	var failure *C.pouch_error_t
	status := C.pouch_stream_next(s.handle, 0, &raw, &failure)
	if err := takeError(status, failure); err != nil {
		return Frame{}, status, err
	}
	if status == C.POUCH_EOF {
		return Frame{}, status, io.EOF
	}
	if status == C.POUCH_AGAIN {
		return Frame{}, status, nil
	}
	data := C.GoBytes(unsafe.Pointer(raw.data), C.int(raw.size))
	return Frame{Channel: Channel(raw.channel), Dropped: uint32(raw.flags), Data: data}, status, nil
}

// watch makes the end of the context interrupt the poller.
func (s *Stream) watch(ctx context.Context) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ctx.Done() == nil {
		return func() {}, nil
	}
	finished := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			_ = s.poll.SetReadDeadline(time.Unix(1, 0))
		case <-finished:
		}
	}()
	return func() {
		close(finished)
		<-ended
		_ = s.poll.SetReadDeadline(time.Time{})
	}, nil
}

// Write sends all of data to the operation: stdin, or an upload.
func (s *Stream) Write(data []byte) (int, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	if s.handle == nil {
		return 0, &Error{Code: Closed, Message: "the stream is closed"}
	}
	done := 0
	for done < len(data) {
		var written C.size_t
		var failure *C.pouch_error_t
		status := C.pouch_stream_write(s.handle, unsafe.Pointer(&data[done]), C.size_t(len(data)-done), -1, &written, &failure)
		if err := takeError(status, failure); err != nil {
			return done, err
		}
		done += int(written)
	}
	return done, nil
}

// CloseWrite ends the input; output goes on.
func (s *Stream) CloseWrite() error {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	var failure *C.pouch_error_t
	return takeError(C.pouch_stream_close_write(s.handle, &failure), failure)
}

// Resize sets the terminal's size.
func (s *Stream) Resize(rows, cols uint32) error {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	var failure *C.pouch_error_t
	return takeError(C.pouch_stream_resize(s.handle, C.uint32_t(rows), C.uint32_t(cols), &failure), failure)
}

// Copy reads to the end; stdout and stderr may be nil.
func (s *Stream) Copy(ctx context.Context, stdout, stderr io.Writer) error {
	for {
		frame, err := s.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		target := stdout
		if frame.Channel == Stderr {
			target = stderr
		}
		if target == nil {
			continue
		}
		if _, err := target.Write(frame.Data); err != nil {
			return err
		}
	}
}

// NextMessage decodes the next document of a stream of messages into out.
func (s *Stream) NextMessage(ctx context.Context, out interface{}) error {
	frame, err := s.Next(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(frame.Data, out)
}

// Finish waits for the end, drops what is unread, and decodes the operation's result into out (may be nil).
func (s *Stream) Finish(out interface{}) error {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	if s.handle == nil {
		return &Error{Code: Closed, Message: "the stream is closed"}
	}
	var buf C.pouch_buf_t
	var failure *C.pouch_error_t
	status := C.pouch_stream_finish(s.handle, &buf, &failure)
	defer C.pouch_buf_free(&buf)
	if err := takeError(status, failure); err != nil {
		return err
	}
	if out == nil || buf.size == 0 {
		return nil
	}
	return json.Unmarshal(C.GoBytes(unsafe.Pointer(buf.data), C.int(buf.size)), out)
}

// Cancel ends the operation and wakes Next and Write. Idempotent, from any goroutine.
func (s *Stream) Cancel() {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	if s.handle != nil {
		C.pouch_stream_cancel(s.handle)
	}
}

// Close cancels and frees. Idempotent.
func (s *Stream) Close() error {
	s.Cancel()
	return s.Detach()
}

// Detach frees the stream and lets an operation that has effects (a load) go on.
func (s *Stream) Detach() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.handle == nil {
		return nil
	}
	C.pouch_stream_free(s.handle)
	s.handle = nil
	return s.poll.Close()
}
