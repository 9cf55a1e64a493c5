package dev.pouch;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.pouch.internal.PouchNative;
import java.lang.System.Logger;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/** The library's log, for the program's own: records of this process, of all clients, from a thread of its own. */
public final class Logs implements AutoCloseable {
  private static final Map<String, Logger.Level> LEVELS = Map.of("error", Logger.Level.ERROR, "warning",
      Logger.Level.WARNING, "info", Logger.Level.INFO, "debug", Logger.Level.DEBUG, "trace", Logger.Level.TRACE);

  private final PouchStream stream;
  private final Thread pump;

  private Logs(PouchStream stream, Consumer<JsonObject> receiver) {
    this.stream = stream;
    this.pump = new Thread(() -> pump(receiver), "pouch-log");
    pump.setDaemon(true);
    pump.start();
  }

  /**
   * Gives each record up to `level` (1 errors, 2 warnings, 3 info, 4 debug, 5 trace) to the receiver: "time", "level",
   * "component", "message", "pid", and where known "root", "object" and "request_id".
   */
  public static Logs forward(int level, Consumer<JsonObject> receiver) {
    Library.require();
    long[] made = new long[1];
    PouchNative.pouch_log_open(level, made);
    return new Logs(new PouchStream(made[0]), receiver);
  }

  /** To a logger, with what is known of the record in brackets before its message. */
  public static Logs forward(int level, Logger logger) {
    return forward(level, record -> logger.log(LEVELS.getOrDefault(text(record, "level"), Logger.Level.INFO), line(record)));
  }

  private static String text(JsonObject record, String key) {
    return record.has(key) ? record.get(key).getAsString() : "";
  }

  private static String line(JsonObject record) {
    StringBuilder out = new StringBuilder(text(record, "component"));
    for (String key : new String[] {"root", "object", "request_id"}) {
      if (record.has(key)) {
        out.append(' ').append(key).append('=').append(text(record, key));
      }
    }
    return out.append(": ").append(text(record, "message")).toString();
  }

  private void pump(Consumer<JsonObject> receiver) {
    try {
      for (Optional<Frame> frame = stream.next(); frame.isPresent(); frame = stream.next()) {
        String json = new String(frame.get().data(), StandardCharsets.UTF_8);
        receiver.accept(JsonParser.parseString(json).getAsJsonObject());
      }
    } catch (PouchException ended) {
      // closed: that is how it ends
    }
  }

  /** Ends the forwarding; records that were not read are dropped. */
  @Override
  public void close() {
    stream.close();
  }
}
