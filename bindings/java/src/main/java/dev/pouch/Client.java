package dev.pouch;

import com.google.gson.JsonObject;
import dev.pouch.gen.ContainerOperations;
import dev.pouch.gen.ExecOperations;
import dev.pouch.gen.ImageOperations;
import dev.pouch.gen.Models;
import dev.pouch.gen.NetworkOperations;
import dev.pouch.gen.SystemOperations;
import dev.pouch.gen.VolumeOperations;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** An open engine with its operations by noun. */
public final class Client extends Connection {
  public final ContainerOperations containers = new ContainerOperations(this);
  public final ExecOperations execs = new ExecOperations(this);
  public final ImageOperations images = new ImageOperations(this);
  public final NetworkOperations networks = new NetworkOperations(this);
  public final SystemOperations system = new SystemOperations(this);
  public final VolumeOperations volumes = new VolumeOperations(this);

  public Client(String uri) {
    super(uri, 0);
  }

  public Client(String uri, int logLevel) {
    super(uri, logLevel);
  }

  /** With `session`, all that it makes goes with it: see Connection. */
  public Client(String uri, int logLevel, boolean session) {
    super(uri, logLevel, session);
  }

  /** How a container that was run ended. */
  public static final class Run {
    private final String id;
    private final int exitCode;
    private final byte[] stdout;
    private final byte[] stderr;

    private Run(String id, int exitCode, byte[] stdout, byte[] stderr) {
      this.id = id;
      this.exitCode = exitCode;
      this.stdout = stdout;
      this.stderr = stderr;
    }

    public String id() {
      return id;
    }

    public int exitCode() {
      return exitCode;
    }

    public byte[] stdout() {
      return stdout;
    }

    public byte[] stderr() {
      return stderr;
    }
  }

  /** Runs a container to its end. `stdin` may be null; then OpenStdin should not be set. */
  public Run run(Models.ContainerCreateConfig config, Models.ContainerCreateOptions options, byte[] stdin)
      throws IOException {
    long[] pointer = new long[1];
    String id = GSON.fromJson(run(config, options, pointer, Call.NONE), Models.ContainerCreateResult.class).Id;
    try (PouchStream stream = new PouchStream(pointer[0])) {
      if (stdin != null) {
        stream.write(stdin);
        stream.closeWrite();
      }
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      ByteArrayOutputStream err = new ByteArrayOutputStream();
      stream.copyTo(out, err);
      JsonObject end = stream.finish();
      int exitCode = end.has("StatusCode") ? end.get("StatusCode").getAsInt() : 0; // absent after the detach keys
      return new Run(id, exitCode, out.toByteArray(), err.toByteArray());
    }
  }

  /** Starts a container in the background; its id. */
  public String runDetached(Models.ContainerCreateConfig config, Models.ContainerCreateOptions options) {
    return GSON.fromJson(run(config, options, null, Call.NONE), Models.ContainerCreateResult.class).Id;
  }

  /**
   * Gets an image from a registry; without a tag or digest the latest. Without an account (null) the engine's host uses
   * what "docker login" stored there.
   */
  public Models.PulledImage pullImage(String image, Models.AuthConfig auth) {
    Models.ImagePullOptions options = new Models.ImagePullOptions();
    options.fromImage = image;
    options.auth = auth;
    try (PouchStream stream = images.pull(options, Call.NONE)) {
      return GSON.fromJson(stream.finish(), Models.ImagePullResult.class).Images.get(0);
    }
  }

  /** Loads an archive (docker save, OCI layout); the references it held. */
  public List<String> loadImages(Path archive) throws IOException {
    try (PouchStream stream = images.load(null, Call.NONE); InputStream in = Files.newInputStream(archive)) {
      stream.writeFrom(in);
      return GSON.fromJson(stream.finish(), Models.ImageLoadResult.class).References;
    }
  }
}
