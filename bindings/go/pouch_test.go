package pouch

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// archive is a docker-archive with no files in it.
func archive(t *testing.T) string {
	t.Helper()
	files := []struct{ name, text string }{
		{"config.json", `{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[]}}`},
		{"manifest.json", `[{"Config":"config.json","RepoTags":["busybox:latest"],"Layers":[]}]`},
	}
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, file := range files {
		if err := writer.WriteHeader(&tar.Header{Name: file.name, Size: int64(len(file.text)), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte(file.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "busybox.tar")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openMock(t *testing.T) (*Client, context.Context) {
	t.Helper()
	client, err := Open("mock://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	result, err := client.LoadImages(ctx, archive(t))
	if err != nil || len(result.References) != 1 || result.References[0] != "busybox:latest" {
		t.Fatalf("load: %+v, %v", result, err)
	}
	return client, ctx
}

func sh(script string) RunConfig {
	return RunConfig{Image: "busybox", Cmd: []string{"sh", "-c", script}, Network: "none"}
}

// awaitOutput: a signal sent before the script has set its trap would end it.
func awaitOutput(ctx context.Context, t *testing.T, client *Client, id string) {
	t.Helper()
	yes := true
	stream, err := client.Containers.Logs(ctx, id, &ContainerLogsOptions{Stdout: &yes, Follow: &yes})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Next(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestRunReturnsOutput(t *testing.T) {
	client, ctx := openMock(t)
	run := RunConfig{Image: "busybox", Cmd: []string{"cat"}, Network: "none", Stdin: strings.NewReader("a\x00b")}
	if output, err := client.Run(ctx, run); err != nil || string(output) != "a\x00b" {
		t.Fatalf("%q, %v", output, err)
	}
	var exit *ExitError
	if _, err := client.Run(ctx, sh("echo bad >&2; exit 3")); !errors.As(err, &exit) || exit.ExitCode != 3 || string(exit.Stderr) != "bad\n" {
		t.Fatalf("%v", err)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	client, ctx := openMock(t)
	if _, err := client.Containers.Inspect(ctx, "nosuch", nil); !errors.Is(err, NotFound) {
		t.Fatalf("%v", err)
	}
	init := true
	none := "none"
	_, err := client.Containers.Create(ctx, ContainerCreateConfig{Image: &[]string{"busybox"}[0],
		HostConfig: &HostConfig{NetworkMode: &none, Init: &init}}, nil)
	if !errors.Is(err, NotImplemented) || !strings.Contains(err.Error(), "HostConfig.Init") {
		t.Fatalf("%v", err)
	}
}

// readUntil reads until the output ends with the text.
func readUntil(ctx context.Context, t *testing.T, stream *Stream, text string) {
	t.Helper()
	var all []byte
	for !strings.HasSuffix(string(all), text) {
		frame, err := stream.Next(ctx)
		if err != nil {
			t.Fatalf("%q, then %v", all, err)
		}
		all = append(all, frame.Data...)
	}
}

func TestTerminalOfAContainer(t *testing.T) {
	client, ctx := openMock(t)
	yes, keys := true, "a,b"
	run := sh("read x; stty size; cat")
	run.Config.Tty, run.Config.OpenStdin = &yes, &yes
	made, err := client.Containers.Create(ctx, run.document(), nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.Containers.Attach(ctx, made.Id,
		&ContainerAttachOptions{Stream: &yes, Stdin: &yes, Stdout: &yes, DetachKeys: &keys})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := stream.Resize(10, 20); !errors.Is(err, Conflict) {
		t.Fatalf("resize before the start: %v", err)
	}
	if err := client.Containers.Start(ctx, made.Id, nil); err != nil {
		t.Fatal(err)
	}
	if err := stream.Resize(10, 20); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte("\r")); err != nil {
		t.Fatal(err)
	}
	readUntil(ctx, t, stream, "\r\n10 20\r\n")
	if _, err := stream.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	var end AttachEnd
	if err := stream.Finish(&end); err != nil || end.Detached == nil || !*end.Detached {
		t.Fatalf("%+v, %v", end, err)
	}
	if err := client.Containers.Resize(ctx, made.Id, ContainerResizeOptions{H: 1, W: 2}); err != nil {
		t.Fatal(err)
	}
	if err := client.Containers.Kill(ctx, made.Id, nil); err != nil {
		t.Fatal(err)
	}
}

func TestTerminalOfAnExec(t *testing.T) {
	client, ctx := openMock(t)
	id, err := client.RunDetached(ctx, sh("sleep 100"))
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	made, err := client.Execs.Create(ctx, id, ExecConfig{Cmd: &[]string{"sh", "-c", "stty size; read x; stty size; exit 3"},
		Tty: &yes, AttachStdin: &yes, AttachStdout: &yes, ConsoleSize: &[]uint64{5, 6}})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.Execs.Start(ctx, made.Id, ExecStartConfig{Tty: &yes})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	readUntil(ctx, t, stream, "5 6\r\n")
	if err := stream.Resize(7, 8); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	readUntil(ctx, t, stream, "\r\n7 8\r\n")
	var end ExecExit
	if err := stream.Finish(&end); err != nil || end.ExitCode == nil || *end.ExitCode != 3 {
		t.Fatalf("%+v, %v", end, err)
	}
	if err := client.Containers.Kill(ctx, id, nil); err != nil {
		t.Fatal(err)
	}
}

func TestContextEndsCallsAndStreams(t *testing.T) {
	client, ctx := openMock(t)
	id, err := client.RunDetached(ctx, sh("trap '' TERM; echo ready; sleep 100"))
	if err != nil {
		t.Fatal(err)
	}
	awaitOutput(ctx, t, client, id)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	patience := int64(60)
	if err := client.Containers.Stop(short, id, &ContainerStopOptions{T: &patience}); !errors.Is(err, DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	cancelled, give := context.WithCancel(ctx)
	time.AfterFunc(50*time.Millisecond, give)
	if err := client.Containers.Stop(cancelled, id, &ContainerStopOptions{T: &patience}); !errors.Is(err, Cancelled) {
		t.Fatalf("%v", err)
	}
	yes := true
	stream, err := client.Containers.Logs(ctx, id, &ContainerLogsOptions{Stdout: &yes, Follow: &yes})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Next(ctx); err != nil { // "ready"
		t.Fatal(err)
	}
	again, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := stream.Next(again); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
}

func TestManyStreamsWaitWithoutThreads(t *testing.T) {
	client, ctx := openMock(t)
	id, err := client.RunDetached(ctx, sh("sleep 0.3; echo late"))
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	results := make(chan string)
	const streams = 50
	for i := 0; i < streams; i++ {
		stream, err := client.Containers.Logs(ctx, id, &ContainerLogsOptions{Stdout: &yes, Follow: &yes})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer stream.Close()
			var out bytes.Buffer
			_ = stream.Copy(ctx, &out, io.Discard)
			results <- out.String()
		}()
	}
	for i := 0; i < streams; i++ {
		if got := <-results; got != "late\n" {
			t.Fatalf("%q", got)
		}
	}
}

func TestCheckNeedsNoClient(t *testing.T) {
	report, err := Check(context.Background(), "mock://")
	if err != nil || !report.Ok || len(report.Findings) == 0 {
		t.Fatalf("%v %v", report, err)
	}
	report, err = Check(context.Background(), "unix:///nonexistent.sock")
	if err != nil || report.Ok || report.Findings[0].Name != "socket" || report.Findings[0].Fix == nil {
		t.Fatalf("%v %v", report, err)
	}
	if _, err := Check(context.Background(), "gopher://"); !errors.Is(err, InvalidArgument) {
		t.Fatalf("%v", err)
	}
}

func TestLogsCarryTheNameOfTheCall(t *testing.T) {
	client, err := Open("mock://")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := make(chan LogRecord, 100)
	stop, err := ForwardLogs(LogDebug, func(record LogRecord) { records <- record })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.System.Ping(WithRequestID(context.Background(), "go-1")); err != nil {
		t.Fatal(err)
	}
	record := <-records
	stop()
	stop() // a second time is harmless
	if record.RequestID != "go-1" || record.Level != "debug" || record.PID != os.Getpid() {
		t.Fatalf("%+v", record)
	}
}

func TestResetIsOfRootsHere(t *testing.T) {
	if _, err := Reset(context.Background(), "mock://", ResetOptions{InUse: true}); !errors.Is(err, NotImplemented) {
		t.Fatal(err)
	}
	if _, err := Reset(context.Background(), "", ResetOptions{}); !errors.Is(err, InvalidArgument) {
		t.Fatal(err)
	}
}

func TestClosedClient(t *testing.T) {
	client, err := Open("mock://")
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	client.Close()
	if _, err := client.System.Ping(context.Background()); !errors.Is(err, Closed) {
		t.Fatalf("%v", err)
	}
	if _, err := Open("gopher://"); !errors.Is(err, InvalidArgument) {
		t.Fatalf("%v", err)
	}
}

func TestSessionIsOpenedAtOnce(t *testing.T) {
	address := "unix://" + filepath.Join(t.TempDir(), "nobody.sock")
	client, err := Open(address)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if client, err = OpenWith(address, Options{Session: true}); !errors.Is(err, Unavailable) {
		t.Fatalf("a session with nobody: %v, %v", client, err)
	}
	if client, err = OpenWith("mock://", Options{Session: true}); err != nil {
		t.Fatal(err)
	}
	client.Close()
}

func TestPullsWithAccounts(t *testing.T) {
	client, ctx := openMock(t)
	image, err := client.PullImage(ctx, "team/box:1", nil)
	if err != nil || image.Reference != "team/box:1" || !image.IsNew {
		t.Fatalf("pull: %+v, %v", image, err)
	}
	if _, err = client.PullImage(ctx, "team/private", nil); !errors.Is(err, Unauthenticated) {
		t.Fatalf("without an account: %v", err)
	}
	password := "secret"
	if _, err = client.PullImage(ctx, "team/private", &AuthConfig{Password: &password}); err != nil {
		t.Fatal(err)
	}
	if _, err = client.PullImage(ctx, "absent", nil); !errors.Is(err, NotFound) {
		t.Fatalf("absent: %v", err)
	}
}
