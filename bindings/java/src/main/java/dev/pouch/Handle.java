package dev.pouch;

import java.lang.ref.Cleaner;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongConsumer;
import java.util.function.LongFunction;

/** A native handle: closed once, not before the calls in flight have returned, and by the Cleaner when forgotten. */
final class Handle implements AutoCloseable {
  private static final Cleaner CLEANER = Cleaner.create();

  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
  private final State state;
  private final Cleaner.Cleanable cleanable;
  private final LongConsumer wake;
  private final String what;

  /**
   * @param wake makes calls in flight return soon
   * @param free frees the handle; must not refer to the owner
   */
  Handle(Object owner, String what, long pointer, LongConsumer wake, LongConsumer free) {
    this.what = what;
    this.wake = wake;
    this.state = new State(pointer, free);
    this.cleanable = CLEANER.register(owner, state);
  }

  <T> T use(LongFunction<T> call) {
    lock.readLock().lock();
    try {
      if (state.pointer == 0) {
        throw PouchException.of(PouchException.Code.CLOSED, what + " is closed");
      }
      return call.apply(state.pointer);
    } finally {
      lock.readLock().unlock();
    }
  }

  /** Wakes those who use the handle, without closing it. */
  void interrupt() {
    lock.readLock().lock();
    try {
      if (state.pointer != 0) {
        wake.accept(state.pointer);
      }
    } finally {
      lock.readLock().unlock();
    }
  }

  @Override
  public void close() {
    interrupt();
    free();
  }

  void free() {
    lock.writeLock().lock();
    try {
      cleanable.clean();
    } finally {
      lock.writeLock().unlock();
    }
  }

  private static final class State implements Runnable {
    private long pointer;
    private final LongConsumer free;

    State(long pointer, LongConsumer free) {
      this.pointer = pointer;
      this.free = free;
    }

    @Override
    public void run() {
      long old = pointer;
      pointer = 0;
      if (old != 0) {
        free.accept(old);
      }
    }
  }
}
