package dev.pouch;

import dev.pouch.internal.PouchNative;
import java.time.Duration;

/** How long a call may take, and the means to give it up from another thread. Usable for many calls. */
public final class Call implements AutoCloseable {
  /** No limit. */
  public static final Call NONE = new Call(0, false);

  private final long deadlineMs;
  private final Handle token;

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

  <T> T with(java.util.function.Function<long[], T> call) {
    if (token == null) {
      return call.apply(new long[] {deadlineMs, 0});
    }
    return token.use(pointer -> call.apply(new long[] {deadlineMs, pointer}));
  }

  @Override
  public void close() {
    if (token != null) {
      token.close();
    }
  }
}
