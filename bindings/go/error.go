package pouch

// #include <pouch.h>
import "C"

import "encoding/json"

// Code says why a call failed. It is an error itself, for errors.Is(err, pouch.NotFound).
type Code int

// The codes of pouch/error.h.
const (
	Internal          Code = -1
	InvalidArgument   Code = -2
	NotFound          Code = -3
	AlreadyExists     Code = -4
	Conflict          Code = -5
	NotModified       Code = -6
	PermissionDenied  Code = -7
	Unauthenticated   Code = -8
	NotImplemented    Code = -9
	Unavailable       Code = -10
	DeadlineExceeded  Code = -11
	Cancelled         Code = -12
	ResourceExhausted Code = -13
	DataLoss          Code = -14
	Forked            Code = -15
	Closed            Code = -16
	Lagged            Code = -17
	OutOfMemory       Code = -18
)

// Error is the code's name, "NotFound".
func (c Code) Error() string { return C.GoString(C.pouch_status_name(C.pouch_status_t(c))) }

// Error is what every failed call returns.
type Error struct {
	Code      Code
	Message   string                 // one line: what was attempted on which object and why it failed
	Details   map[string]interface{} // facts for programs; may be nil
	Retriable bool                   // the same call may succeed later without any change
}

func (e *Error) Error() string { return e.Code.Error() + ": " + e.Message }

// Is makes errors.Is(err, pouch.NotFound) work.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// takeError turns a status and the library's error, which it frees, into a Go error.
func takeError(status C.pouch_status_t, raw *C.pouch_error_t) error {
	if status >= 0 {
		return nil
	}
	defer C.pouch_error_free(raw)
	out := &Error{Code: Code(status), Message: Code(status).Error()}
	if raw != nil {
		out.Message = C.GoString(C.pouch_error_message(raw))
		out.Retriable = C.pouch_error_is_retriable(raw) != 0
		if details := C.GoString(C.pouch_error_details_json(raw)); details != "" {
			if json.Unmarshal([]byte(details), &out.Details) != nil {
				out.Details = nil
			}
		}
	}
	return out
}
