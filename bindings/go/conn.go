package pouch

/*
#cgo pkg-config: pouch
#include <pouch.h>
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// Conn is one open engine with its generic operations by name; Client adds the typed ones.
type Conn struct {
	mutex  sync.RWMutex // held for reading during calls, so that Close waits for none to use freed memory
	handle *C.pouch_client_t
}

// Options of Open.
type Options struct {
	// LogLevel: records up to it go to stderr while the client lives; 0 none, 1 errors … 5 everything.
	LogLevel uint32
	// Session: whatever the client makes (containers, execs, images, names) is removed soon after it is closed, or
	// its process has ended, however that may be.
	Session bool
}

func openConn(uri string, options Options) (*Conn, error) {
	var address *C.char
	if uri != "" {
		address = C.CString(uri)
		defer C.free(unsafe.Pointer(address))
	}
	raw := C.pouch_client_options_t{struct_size: C.sizeof_pouch_client_options_t, api_version: C.POUCH_API_VERSION,
		log_level: C.uint32_t(options.LogLevel)}
	if options.Session {
		raw.session = 1
	}
	var failure *C.pouch_error_t
	conn := &Conn{}
	if err := takeError(C.pouch_client_open(address, &raw, &conn.handle, &failure), failure); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(conn, (*Conn).Close)
	return conn, nil
}

// Close ends the client: calls in progress are given up, later ones return Closed. Containers go on, but
// those of a session.
func (c *Conn) Close() {
	runtime.SetFinalizer(c, nil)
	c.mutex.RLock()
	if c.handle != nil {
		C.pouch_client_close(c.handle) // wakes those who hold the lock for reading
	}
	c.mutex.RUnlock()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	C.pouch_client_free(c.handle)
	c.handle = nil
}

// URI is the address that was opened.
func (c *Conn) URI() string {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	return C.GoString(C.pouch_client_uri(c.handle))
}

// Supports tells whether the library knows the operation ("container.stop").
func (c *Conn) Supports(op string) bool {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.handle == nil {
		return false
	}
	name := C.CString(op)
	defer C.free(unsafe.Pointer(name))
	return C.pouch_client_supports(c.handle, name) != 0
}

type requestID struct{}

// WithRequestID names the calls made with the context in the logs of this process, of the keeper and of pouchd.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestID{}, id)
}

// arguments are a call's C strings and its pouch_call_t, freed together.
type arguments struct {
	op, config, options *C.char
	ids                 **C.char
	idCount             C.size_t
	call                *C.pouch_call_t
	stop                func()
	memory              []unsafe.Pointer
}

func (a *arguments) text(value string) *C.char {
	out := C.CString(value)
	a.memory = append(a.memory, unsafe.Pointer(out))
	return out
}

func (a *arguments) document(value interface{}) (*C.char, error) {
	if value == nil {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, &Error{Code: InvalidArgument, Message: err.Error()}
	}
	if string(text) == "null" {
		return nil, nil
	}
	return a.text(string(text)), nil
}

func newArguments(ctx context.Context, op string, ids []string, config, options interface{}) (*arguments, error) {
	a := &arguments{op: nil, stop: func() {}}
	a.op = a.text(op)
	var err error
	if a.config, err = a.document(config); err == nil {
		a.options, err = a.document(options)
	}
	if err != nil {
		a.free()
		return nil, err
	}
	if len(ids) > 0 {
		list := C.malloc(C.size_t(len(ids)) * C.size_t(unsafe.Sizeof((*C.char)(nil))))
		a.memory = append(a.memory, list)
		a.ids, a.idCount = (**C.char)(list), C.size_t(len(ids))
		for i, id := range ids {
			unsafe.Slice(a.ids, len(ids))[i] = a.text(id)
		}
	}
	a.watch(ctx)
	return a, nil
}

// watch ties the call to the context: its deadline, and its cancellation through a token.
func (a *arguments) watch(ctx context.Context) {
	call := C.malloc(C.sizeof_pouch_call_t)
	a.memory = append(a.memory, call)
	a.call = (*C.pouch_call_t)(call)
	*a.call = C.pouch_call_t{struct_size: C.sizeof_pouch_call_t}
	if id, ok := ctx.Value(requestID{}).(string); ok && id != "" {
		a.call.request_id = a.text(id)
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline).Milliseconds()
		if left < 1 {
			left = -1 // it has passed
		}
		a.call.deadline_ms = C.int64_t(left)
	}
	if ctx.Done() == nil {
		return
	}
	token := C.pouch_cancel_new()
	a.call.cancel = token
	if ctx.Err() == context.Canceled {
		C.pouch_cancel_fire(token)
	}
	finished := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			if ctx.Err() == context.Canceled {
				C.pouch_cancel_fire(token)
			}
		case <-finished:
		}
	}()
	a.stop = func() {
		close(finished)
		<-ended
		C.pouch_cancel_unref(token)
	}
}

func (a *arguments) free() {
	a.stop()
	for _, pointer := range a.memory {
		C.free(pointer)
	}
}

func closedError() error { return &Error{Code: Closed, Message: "the client is closed"} }

// Call runs an operation with at most one answer and decodes it into result (nil: not wanted).
func (c *Conn) Call(ctx context.Context, op string, ids []string, config, options, result interface{}) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.handle == nil {
		return closedError()
	}
	a, err := newArguments(ctx, op, ids, config, options)
	if err != nil {
		return err
	}
	defer a.free()
	var failure *C.pouch_error_t
	var buf C.pouch_buf_t
	status := C.pouch_call(c.handle, a.op, a.ids, a.idCount, a.config, a.options, a.call, &buf, &failure)
	defer C.pouch_buf_free(&buf)
	if err := takeError(status, failure); err != nil {
		return err
	}
	if result == nil || buf.size == 0 {
		return nil
	}
	return json.Unmarshal(C.GoBytes(unsafe.Pointer(buf.data), C.int(buf.size)), result)
}

// OpenStream opens an operation that is a stream. The context is about the opening, not about the stream.
func (c *Conn) OpenStream(ctx context.Context, op string, ids []string, config, options interface{}) (*Stream, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.handle == nil {
		return nil, closedError()
	}
	a, err := newArguments(ctx, op, ids, config, options)
	if err != nil {
		return nil, err
	}
	defer a.free()
	var failure *C.pouch_error_t
	var stream *C.pouch_stream_t
	status := C.pouch_open(c.handle, a.op, a.ids, a.idCount, a.config, a.options, a.call, &stream, &failure)
	if err := takeError(status, failure); err != nil {
		return nil, err
	}
	return newStream(stream)
}

// runContainer is pouch_container_run: create, attach, wait and start in one.
func (c *Conn) runContainer(ctx context.Context, config, options interface{}, attach bool) (ContainerCreateResult, *Stream, error) {
	var made ContainerCreateResult
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.handle == nil {
		return made, nil, closedError()
	}
	a, err := newArguments(ctx, "container.run", nil, config, options)
	if err != nil {
		return made, nil, err
	}
	defer a.free()
	var failure *C.pouch_error_t
	var buf C.pouch_buf_t
	var stream *C.pouch_stream_t
	var wanted **C.pouch_stream_t
	if attach {
		wanted = &stream
	}
	status := C.pouch_container_run(c.handle, a.config, a.options, a.call, &buf, wanted, &failure)
	defer C.pouch_buf_free(&buf)
	if buf.size > 0 {
		if err := json.Unmarshal(C.GoBytes(unsafe.Pointer(buf.data), C.int(buf.size)), &made); err != nil {
			return made, nil, err
		}
	}
	if err := takeError(status, failure); err != nil || stream == nil {
		return made, nil, err
	}
	opened, err := newStream(stream)
	return made, opened, err
}

// Check looks whether the engine at an address has all that containers need, also where it cannot be opened.
func Check(ctx context.Context, uri string) (CheckReport, error) {
	var report CheckReport
	a, err := newArguments(ctx, "system.check", nil, nil, nil)
	if err != nil {
		return report, err
	}
	defer a.free()
	var address *C.char
	if uri != "" {
		address = a.text(uri)
	}
	var failure *C.pouch_error_t
	var buf C.pouch_buf_t
	status := C.pouch_check(address, nil, a.call, &buf, &failure)
	defer C.pouch_buf_free(&buf)
	if err := takeError(status, failure); err != nil {
		return report, err
	}
	return report, json.Unmarshal(C.GoBytes(unsafe.Pointer(buf.data), C.int(buf.size)), &report)
}

// ResetReport tells what a reset removed.
type ResetReport struct {
	RootId     string
	Root       string
	Containers int64
	Images     int64
}

// ResetOptions of Reset. InUse: although other processes have the root open. Force: also when something of it cannot be
// removed.
type ResetOptions struct {
	InUse bool
	Force bool
}

// Reset removes a root of this host, embed:///path, with all that it owns.
func Reset(ctx context.Context, uri string, options ResetOptions) (ResetReport, error) {
	var report ResetReport
	text, err := json.Marshal(options)
	if err != nil {
		return report, err
	}
	a, err := newArguments(ctx, "system.reset", nil, nil, nil)
	if err != nil {
		return report, err
	}
	defer a.free()
	var failure *C.pouch_error_t
	var buf C.pouch_buf_t
	status := C.pouch_reset(a.text(uri), a.text(string(text)), a.call, &buf, &failure)
	defer C.pouch_buf_free(&buf)
	if err := takeError(status, failure); err != nil {
		return report, err
	}
	return report, json.Unmarshal(C.GoBytes(unsafe.Pointer(buf.data), C.int(buf.size)), &report)
}

// Version of the library in use, "major.minor.patch".
func Version() string { return C.GoString(C.pouch_version()) }
