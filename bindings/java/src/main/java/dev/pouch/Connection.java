package dev.pouch;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.ToNumberPolicy;
import dev.pouch.gen.Models;
import dev.pouch.internal.PouchNative;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** One open engine with its generic operations by name; Client adds the typed ones. Thread-safe. */
public class Connection implements AutoCloseable {
  /** Documents to and from Java; int64 stays exact. */
  public static final Gson GSON =
      new GsonBuilder().disableHtmlEscaping().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE).create();

  private final Handle handle;

  /** Opens an engine: embed://, unix://, tcp://, mock://; null as pouch.h says. logLevel 0: nothing to stderr. */
  public Connection(String uri, int logLevel) {
    this(uri, logLevel, false);
  }

  /**
   * The same. With `session`, whatever the client makes (containers, execs, images, names) is removed soon after it is
   * closed, or its process has ended, however that may be.
   */
  public Connection(String uri, int logLevel, boolean session) {
    Library.require();
    long[] made = new long[1];
    PouchNative.pouch_client_open(uri == null ? null : bytes(uri), new int[] {logLevel, session ? 1 : 0}, made);
    handle = new Handle(this, "the client", made[0], PouchNative::pouch_client_close, PouchNative::pouch_client_free);
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] document(Object value) {
    return value == null ? null : bytes(value instanceof JsonElement ? value.toString() : GSON.toJson(value));
  }

  private static byte[][] list(List<String> ids) {
    return ids.stream().map(Connection::bytes).toArray(byte[][]::new);
  }

  /** Runs an operation with at most one answer, decoded as `type` (null: not wanted). */
  public <T> T call(String op, List<String> ids, Object config, Object options, Type type, Call call) {
    byte[][] result = new byte[1][];
    byte[] configJson = document(config);
    byte[] optionsJson = document(options);
    handle.use(p -> call.with(c -> PouchNative.pouch_call(p, bytes(op), list(ids), configJson, optionsJson, c, result)));
    if (type == null || result[0] == null) {
      return null;
    }
    return GSON.fromJson(new String(result[0], StandardCharsets.UTF_8), type);
  }

  /** Opens an operation that is a stream; `call` is about the opening. */
  public PouchStream open(String op, List<String> ids, Object config, Object options, Call call) {
    long[] stream = new long[1];
    byte[] configJson = document(config);
    byte[] optionsJson = document(options);
    handle.use(p -> call.with(c -> PouchNative.pouch_open(p, bytes(op), list(ids), configJson, optionsJson, c, stream)));
    return new PouchStream(stream[0]);
  }

  /** create, attach, wait and start in one; `stream` receives the pointer of the stream, null: in the background. */
  String run(Object config, Object options, long[] stream, Call call) {
    byte[][] result = new byte[1][];
    byte[] configJson = document(config);
    byte[] optionsJson = document(options);
    handle.use(p -> call.with(c -> PouchNative.pouch_container_run(p, configJson, optionsJson, c, result, stream)));
    return new String(result[0], StandardCharsets.UTF_8);
  }

  /** Whether the library knows the operation ("container.stop"). */
  public boolean supports(String op) {
    return handle.use(p -> PouchNative.pouch_client_supports(p, bytes(op)) != 0);
  }

  public String uri() {
    return handle.use(p -> new String(PouchNative.pouch_client_uri(p), StandardCharsets.UTF_8));
  }

  /** Whether the engine at an address has all that containers need, also where it cannot be opened. */
  public static Models.CheckReport check(String uri, Call call) {
    Library.require();
    byte[][] result = new byte[1][];
    call.with(c -> PouchNative.pouch_check(uri == null ? null : bytes(uri), null, c, result));
    return GSON.fromJson(new String(result[0], StandardCharsets.UTF_8), Models.CheckReport.class);
  }

  /** What a reset removed. */
  public static final class ResetReport {
    public String RootId;
    public String Root;
    public long Containers;
    public long Images;
  }

  /**
   * Removes a root of this host, embed:///path, with all that it owns.
   *
   * @param inUse although other processes have it open
   * @param force also when something of it cannot be removed
   */
  public static ResetReport reset(String uri, boolean inUse, boolean force, Call call) {
    Library.require();
    byte[] options = bytes("{\"InUse\":" + inUse + ",\"Force\":" + force + "}");
    byte[][] result = new byte[1][];
    call.with(c -> PouchNative.pouch_reset(bytes(uri), options, c, result));
    return GSON.fromJson(new String(result[0], StandardCharsets.UTF_8), ResetReport.class);
  }

  /** Version of the library, "major.minor.patch". */
  public static String version() {
    Library.require();
    return new String(PouchNative.pouch_version(), StandardCharsets.UTF_8);
  }

  /** Ends the client and waits for calls in flight; containers go on. */
  @Override
  public void close() {
    handle.close();
  }
}
