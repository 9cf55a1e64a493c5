package dev.pouch;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.pouch.internal.PouchNative;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeoutException;

/** A running operation: one thread reads, one may write, cancel is for any. Closing ends the operation. */
public final class PouchStream implements AutoCloseable {
  private static final int EOF = 1;
  private static final int AGAIN = 2;

  private final Handle handle;

  PouchStream(long pointer) {
    handle = new Handle(this, "the stream", pointer, PouchNative::pouch_stream_cancel, PouchNative::pouch_stream_free);
  }

  /** The next frame; empty once everything was read and the operation ended well. */
  public Optional<Frame> next() {
    Frame.Slot slot = new Frame.Slot();
    int status = handle.use(p -> PouchNative.pouch_stream_next(p, -1, slot));
    return status == EOF ? Optional.empty() : Optional.of(new Frame(slot));
  }

  /** As next(), but waits no longer than `limit`. */
  public Optional<Frame> next(Duration limit) throws TimeoutException {
    Frame.Slot slot = new Frame.Slot();
    int status = handle.use(p -> PouchNative.pouch_stream_next(p, limit.toMillis(), slot));
    if (status == AGAIN) {
      throw new TimeoutException("no frame within " + limit);
    }
    return status == EOF ? Optional.empty() : Optional.of(new Frame(slot));
  }

  /** Writes all of `data`. */
  public void write(byte[] data) {
    byte[] rest = data;
    while (rest.length > 0) {
      byte[] piece = rest;
      long[] written = new long[1];
      handle.use(p -> PouchNative.pouch_stream_write(p, piece, -1, written));
      rest = Arrays.copyOfRange(rest, (int) written[0], rest.length);
    }
  }

  /** Copies `in` to the operation and ends the input. */
  public void writeFrom(InputStream in) throws IOException {
    byte[] buffer = new byte[1 << 20];
    int count;
    while ((count = in.read(buffer)) > 0) {
      write(Arrays.copyOf(buffer, count));
    }
    closeWrite();
  }

  /** No more input; output goes on. */
  public void closeWrite() {
    handle.use(p -> PouchNative.pouch_stream_close_write(p));
  }

  public void resize(int rows, int cols) {
    handle.use(p -> PouchNative.pouch_stream_resize(p, rows, cols));
  }

  /** Copies output to the end; either may be null. */
  public void copyTo(OutputStream stdout, OutputStream stderr) throws IOException {
    for (Optional<Frame> frame = next(); frame.isPresent(); frame = next()) {
      OutputStream target = frame.get().channel() == Frame.Channel.STDERR ? stderr : stdout;
      if (target != null) {
        target.write(frame.get().data());
      }
    }
  }

  /** All bytes of all channels to the end. */
  public byte[] readAll() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (Optional<Frame> frame = next(); frame.isPresent(); frame = next()) {
      out.writeBytes(frame.get().data());
    }
    return out.toByteArray();
  }

  /** Waits for the end, drops what is unread; the result, empty when there is none. */
  public JsonObject finish() {
    byte[][] result = new byte[1][];
    handle.use(p -> PouchNative.pouch_stream_finish(p, result));
    return result[0] == null ? new JsonObject()
        : JsonParser.parseString(new String(result[0], StandardCharsets.UTF_8)).getAsJsonObject();
  }

  /** Ends the operation and wakes next and write. Any thread. */
  public void cancel() {
    handle.interrupt();
  }

  @Override
  public void close() {
    handle.close();
  }

  /** Frees the stream and lets an operation that has effects (a load) go on. */
  public void detach() {
    handle.free();
  }
}
