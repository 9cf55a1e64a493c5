// The Go driver: typed operations of package pouch, found by name. See ../../README.md.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"pouch.dev/pouch"
)

const large = 1 << 20

type step struct {
	Op            string            `json:"op"`
	Ids           []string          `json:"ids"`
	Config        json.RawMessage   `json:"config"`
	Options       json.RawMessage   `json:"options"`
	Save          map[string]string `json:"save"`
	DeadlineMs    int64             `json:"deadline_ms"`
	CancelAfterMs *int64            `json:"cancel_after_ms"`
	Input         *string           `json:"input"`
	InputBase64   []byte            `json:"input_base64"`
	InputZeros    int64             `json:"input_zeros"`
	KeepInputOpen bool              `json:"keep_input_open"`
	Upload        string            `json:"upload"`
	ReadDelayMs   int64             `json:"read_delay_ms"`
	MaxFrames     int               `json:"max_frames"`
	Abandon       bool              `json:"abandon"`
	Background    string            `json:"background"`
	Join          string            `json:"join"`
	Resize        string            `json:"resize"`
	Rows          uint32            `json:"rows"`
	Columns       uint32            `json:"columns"`
	SleepMs       int64             `json:"sleep_ms"`
	Close         bool              `json:"close"`
}

type line struct {
	fields map[string]interface{}
	bytes  map[string][]byte
}

func newLine(number int) *line {
	return &line{map[string]interface{}{"step": number, "code": "Ok", "message": "", "result": nil}, map[string][]byte{}}
}

func (l *line) fail(err error) {
	if l.fields["code"] != "Ok" {
		return
	}
	var failure *pouch.Error
	code, message := "Broken", err.Error()
	if errors.As(err, &failure) {
		code, message = failure.Code.Error(), failure.Message
	} else if errors.Is(err, context.DeadlineExceeded) {
		code = "DeadlineExceeded"
	} else if errors.Is(err, context.Canceled) {
		code = "Cancelled"
	}
	l.fields["code"], l.fields["message"] = code, message
}

func (l *line) add(frame pouch.Frame) {
	if frame.Channel == pouch.Message {
		list, _ := l.fields["messages"].([]json.RawMessage)
		l.fields["messages"] = append(list, json.RawMessage(frame.Data))
		return
	}
	name := map[pouch.Channel]string{pouch.Stdout: "stdout", pouch.Stderr: "stderr", pouch.Data: "data"}[frame.Channel]
	l.bytes[name] = append(l.bytes[name], frame.Data...)
}

func (l *line) show() {
	for name, data := range l.bytes {
		if len(data) > large {
			l.fields[name] = fmt.Sprintf("sha256:%x:%d", sha256.Sum256(data), len(data))
		} else {
			l.fields[name] = base64.StdEncoding.EncodeToString(data)
		}
	}
	text, err := json.Marshal(l.fields)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

type driver struct {
	client     *pouch.Client
	variables  map[string]string
	background map[string]*pouch.Stream
}

func camel(text string) string {
	out := ""
	for _, part := range strings.Split(text, "_") {
		out += strings.ToUpper(part[:1]) + part[1:]
	}
	return out
}

// method finds client.Containers.Stop for "container.stop"; invalid when there is none.
func (d *driver) method(op string) reflect.Value {
	noun, verb, found := strings.Cut(op, ".")
	field, known := map[string]string{"container": "Containers", "exec": "Execs", "image": "Images", "network": "Networks", "system": "System", "volume": "Volumes"}[noun]
	if !found || !known {
		return reflect.Value{}
	}
	return reflect.ValueOf(*d.client).FieldByName(field).MethodByName(camel(verb))
}

// decode fills a document's type strictly; false when the document does not fit it.
func decode(raw json.RawMessage, kind reflect.Type) (reflect.Value, bool) {
	pointer := kind.Kind() == reflect.Ptr
	target := kind
	if pointer {
		target = kind.Elem()
	}
	value := reflect.New(target)
	if len(raw) == 0 {
		if pointer {
			return reflect.Zero(kind), true
		}
		return value, false // the types cannot leave it out
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	if decoder.Decode(value.Interface()) != nil {
		return value, false
	}
	if pointer {
		return value, true
	}
	return value.Elem(), true
}

// run calls the typed operation, or the generic one for what the types do not allow.
func (d *driver) run(ctx context.Context, s step) (interface{}, *pouch.Stream, error) {
	method := d.method(s.Op)
	arguments := []reflect.Value{reflect.ValueOf(ctx)}
	fits := method.IsValid()
	if fits {
		kind := method.Type()
		documents := []json.RawMessage{}
		if kind.NumIn() > 1+len(s.Ids) || len(s.Config) > 0 {
			if strings.HasSuffix(s.Op, ".create") || s.Op == "exec.start" {
				documents = append(documents, s.Config)
			}
		}
		if kind.NumIn() == 1+len(s.Ids)+len(documents)+1 {
			documents = append(documents, s.Options)
		}
		fits = kind.NumIn() == 1+len(s.Ids)+len(documents)
		for _, id := range s.Ids {
			arguments = append(arguments, reflect.ValueOf(id))
		}
		for i, document := range documents {
			if !fits {
				break
			}
			value, ok := decode(document, kind.In(1+len(s.Ids)+i))
			fits = fits && ok
			arguments = append(arguments, value)
		}
	}
	if !fits {
		return d.generic(ctx, s)
	}
	results := method.Call(arguments)
	err, _ := results[len(results)-1].Interface().(error)
	if len(results) == 1 || err != nil {
		return nil, nil, err
	}
	if stream, ok := results[0].Interface().(*pouch.Stream); ok {
		return nil, stream, nil
	}
	return results[0].Interface(), nil, nil
}

func (d *driver) generic(ctx context.Context, s step) (interface{}, *pouch.Stream, error) {
	var config, options interface{}
	if len(s.Config) > 0 {
		config = s.Config
	}
	if len(s.Options) > 0 {
		options = s.Options
	}
	switch s.Op {
	case "container.attach", "container.export", "container.logs", "container.wait", "exec.start", "image.copy_from", "image.from_rootfs", "image.import_tar", "image.load", "image.pull", "image.push", "image.save", "system.events", "system.session":
		stream, err := d.client.OpenStream(ctx, s.Op, s.Ids, config, options)
		return nil, stream, err
	}
	var result interface{}
	err := d.client.Call(ctx, s.Op, s.Ids, config, options, &result)
	return result, nil, err
}

func (d *driver) operation(s step, l *line) {
	ctx := context.Background()
	if s.DeadlineMs != 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(s.DeadlineMs)*time.Millisecond)
		defer stop()
	}
	if s.CancelAfterMs != nil {
		var give context.CancelFunc
		ctx, give = context.WithCancel(ctx)
		if *s.CancelAfterMs == 0 {
			give()
		}
		timer := time.AfterFunc(time.Duration(*s.CancelAfterMs)*time.Millisecond, give)
		defer timer.Stop()
	}
	result, stream, err := d.run(ctx, s)
	switch {
	case err != nil:
		l.fail(err)
	case stream == nil:
		l.fields["result"] = result
	case s.Background != "":
		d.background[s.Background] = stream
	case s.Abandon:
		_ = stream.Detach()
	default:
		read(stream, s, l)
	}
}

func feed(stream *pouch.Stream, s step) {
	var source io.Reader
	switch {
	case s.Input != nil:
		source = strings.NewReader(*s.Input)
	case s.InputBase64 != nil:
		source = strings.NewReader(string(s.InputBase64))
	case s.InputZeros > 0:
		source = io.LimitReader(zeros{}, s.InputZeros)
	case s.Upload != "":
		file, err := os.Open(s.Upload)
		if err != nil {
			panic(err)
		}
		defer file.Close()
		source = file
	default:
		return
	}
	// A failed write shows as the end of the stream.
	if _, err := io.Copy(stream, source); err == nil && !s.KeepInputOpen {
		_ = stream.CloseWrite()
	}
}

type zeros struct{}

func (zeros) Read(data []byte) (int, error) {
	for i := range data {
		data[i] = 0
	}
	return len(data), nil
}

func read(stream *pouch.Stream, s step, l *line) {
	var feeding sync.WaitGroup
	feeding.Add(1)
	go func() {
		defer feeding.Done()
		feed(stream, s)
	}()
	defer stream.Close()
	defer feeding.Wait()
	if s.CancelAfterMs != nil {
		timer := time.AfterFunc(time.Duration(*s.CancelAfterMs)*time.Millisecond, stream.Cancel)
		defer timer.Stop()
	}
	for frames := 1; ; frames++ {
		frame, err := stream.Next(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			l.fail(err)
			stream.Cancel()
			return
		}
		l.add(frame)
		if frames == s.MaxFrames {
			stream.Cancel()
			return
		}
		time.Sleep(time.Duration(s.ReadDelayMs) * time.Millisecond)
	}
	var result interface{}
	if err := stream.Finish(&result); err != nil {
		l.fail(err)
	}
	l.fields["result"] = result
}

func (d *driver) save(s step, l *line) {
	text, err := json.Marshal(l.fields["result"])
	if err != nil {
		panic(err)
	}
	var result map[string]interface{}
	if json.Unmarshal(text, &result) != nil {
		return
	}
	for name, field := range s.Save {
		if value, ok := result[field].(string); ok {
			d.variables[name] = value
		}
	}
}

func (d *driver) step(number int, raw json.RawMessage) {
	text := string(raw)
	for name, value := range d.variables {
		quoted, _ := json.Marshal(value)
		text = strings.ReplaceAll(text, "${"+name+"}", string(quoted[1:len(quoted)-1]))
	}
	var s step
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	l := newLine(number)
	switch {
	case s.SleepMs > 0:
		time.Sleep(time.Duration(s.SleepMs) * time.Millisecond)
	case s.Close:
		d.client.Close()
	case s.Resize != "":
		if err := d.background[s.Resize].Resize(s.Rows, s.Columns); err != nil {
			l.fail(err)
		}
	case s.Join != "":
		read(d.background[s.Join], s, l)
	default:
		d.operation(s, l)
	}
	d.save(s, l)
	l.show()
}

func main() {
	client, err := pouch.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	var script struct {
		Steps []json.RawMessage `json:"steps"`
	}
	if err := json.Unmarshal(text, &script); err != nil {
		panic(err)
	}
	d := driver{client, map[string]string{"run": fmt.Sprintf("%x", rand.New(rand.NewSource(time.Now().UnixNano())).Int63())},
		map[string]*pouch.Stream{}}
	for _, pair := range os.Args[3:] {
		name, value, _ := strings.Cut(pair, "=")
		d.variables[name] = value
	}
	for number, raw := range script.Steps {
		d.step(number, raw)
	}
}
