package dev.pouch;

import dev.pouch.internal.PouchNative;
import java.time.Duration;

/** How long a call may take, and the means to give it up from another thread. Usable for many calls. */
public final class Call implements AutoCloseable {
  /** No limit. */
  public static final Call NONE = new Call(0, false);

  private final long deadlineMs;
  private final Handle token;
  private String requestId;

  private Call(long deadlineMs, boolean cancellable) {
    this.deadlineMs = deadlineMs;
    if (cancellable) {
      Library.require();
      token = new Handle(this, "the call", PouchNative.pouch_cancel_new(), p -> {}, PouchNative::pouch_cancel_unref);
    } else {
      token = null;
    }
  }

  /** Gives each call that long; DEADLINE_EXCEEDED after it. */
  public static Call within(Duration limit) {
    boolean passed = limit.isZero() || limit.isNegative();
    return new Call(passed ? -1 : Math.max(1, limit.toMillis()), true);
  }

  /** A call without limit that can be cancelled. */
  public static Call cancellable() {
    return new Call(0, true);
  }

  /** Names the calls in the logs of this process, of the keeper and of pouchd; before the first of them. */
  public Call named(String id) {
    if (token == null) {
      throw new IllegalStateException("Call.NONE has no name");
    }
    requestId = id;
    return this;
  }

  /** The calls in progress end with CANCELLED. Any thread. */
  public void cancel() {
    if (token == null) {
      throw new IllegalStateException("Call.NONE cannot be cancelled");
    }
    token.use(pointer -> {
      PouchNative.pouch_cancel_fire(pointer);
      return null;
    });
  }

  <T> T with(java.util.function.Function<Native, T> call) {
    if (token == null) {
      return call.apply(new Native(deadlineMs, 0, null));
    }
    byte[] id = requestId == null ? null : Connection.bytes(requestId);
    return token.use(pointer -> call.apply(new Native(deadlineMs, pointer, id)));
  }

  /** What the native side reads of a call. */
  public static final class Native {
    private final long deadlineMs;
    private final long token;
    private final byte[] requestId;

    private Native(long deadlineMs, long token, byte[] requestId) {
      this.deadlineMs = deadlineMs;
      this.token = token;
      this.requestId = requestId;
    }
  }

  @Override
  public void close() {
    if (token != null) {
      token.close();
    }
  }
}
