package pouch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
)

// Client is an open engine with its operations by noun.
type Client struct {
	*Conn
	Containers ContainerOperations
	Execs      ExecOperations
	Images     ImageOperations
	Networks   NetworkOperations
	System     SystemOperations
	Volumes    VolumeOperations
}

// Open opens an engine: embed://, unix://, tcp://, mock://; "" as pouch.h says.
func Open(uri string) (*Client, error) { return OpenWith(uri, Options{}) }

// OpenWith is Open with options.
func OpenWith(uri string, options Options) (*Client, error) {
	conn, err := openConn(uri, options)
	if err != nil {
		return nil, err
	}
	return &Client{conn, ContainerOperations{conn}, ExecOperations{conn}, ImageOperations{conn}, NetworkOperations{conn},
		SystemOperations{conn}, VolumeOperations{conn}}, nil
}

// RunConfig is the usual part of a container's configuration.
type RunConfig struct {
	Image   string
	Cmd     []string
	Name    string
	Network string    // HostConfig.NetworkMode
	Remove  bool      // HostConfig.AutoRemove
	Stdin   io.Reader // nil: none
	// Config and Host hold everything else; the fields above win.
	Config ContainerCreateConfig
}

func (r RunConfig) document() ContainerCreateConfig {
	config := r.Config
	config.Image = &r.Image
	if r.Cmd != nil {
		config.Cmd = &r.Cmd
	}
	host := HostConfig{}
	if config.HostConfig != nil {
		host = *config.HostConfig
	}
	if r.Network != "" {
		host.NetworkMode = &r.Network
	}
	if r.Remove {
		host.AutoRemove = &r.Remove
	}
	config.HostConfig = &host
	if r.Stdin != nil {
		open := true
		config.OpenStdin, config.StdinOnce = &open, &open
	}
	return config
}

func (r RunConfig) options() *ContainerCreateOptions {
	if r.Name == "" {
		return nil
	}
	return &ContainerCreateOptions{Name: &r.Name}
}

// ExitError is returned by Run for another exit code than 0.
type ExitError struct {
	Container string
	ExitCode  int64
	Stderr    []byte
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("container %.12s exited with %d: %s", e.Container, e.ExitCode, bytes.TrimSpace(e.Stderr))
}

// Run runs a container to its end and returns its output; *ExitError for another exit code than 0.
func (c *Client) Run(ctx context.Context, run RunConfig) ([]byte, error) {
	made, stream, err := c.runContainer(ctx, run.document(), run.options(), true)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	if run.Stdin != nil {
		go func() {
			// A failed write shows as the end of the stream below.
			_, _ = io.Copy(stream, run.Stdin)
			_ = stream.CloseWrite()
		}()
	}
	var stdout, stderr bytes.Buffer
	if err := stream.Copy(ctx, &stdout, &stderr); err != nil {
		return stdout.Bytes(), err
	}
	var result WaitResult
	if err := stream.Finish(&result); err != nil {
		return stdout.Bytes(), err
	}
	if result.StatusCode != 0 {
		return stdout.Bytes(), &ExitError{made.Id, result.StatusCode, stderr.Bytes()}
	}
	return stdout.Bytes(), nil
}

// RunDetached starts a container in the background and returns its id.
func (c *Client) RunDetached(ctx context.Context, run RunConfig) (string, error) {
	made, _, err := c.runContainer(ctx, run.document(), run.options(), false)
	return made.Id, err
}

// PullImage gets an image from a registry; without a tag or digest the latest. Without auth the engine's host uses what
// "docker login" stored there.
func (c *Client) PullImage(ctx context.Context, image string, auth *AuthConfig) (PulledImage, error) {
	stream, err := c.Images.Pull(ctx, ImagePullOptions{FromImage: image, Auth: auth})
	if err != nil {
		return PulledImage{}, err
	}
	defer stream.Close()
	var result ImagePullResult
	if err := stream.Finish(&result); err != nil {
		return PulledImage{}, err
	}
	return result.Images[0], nil
}

// LoadImages loads an archive (docker save, OCI layout) from a file.
func (c *Client) LoadImages(ctx context.Context, path string) (ImageLoadResult, error) {
	var result ImageLoadResult
	stream, err := c.Images.Load(ctx, nil)
	if err != nil {
		return result, err
	}
	defer stream.Close()
	file, err := os.Open(path)
	if err != nil {
		return result, err
	}
	defer file.Close()
	if _, err := io.Copy(stream, file); err == nil {
		err = stream.CloseWrite()
		if err != nil {
			return result, err
		}
	}
	return result, stream.Finish(&result) // tells why where the copy was refused
}
