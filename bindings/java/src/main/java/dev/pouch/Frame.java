package dev.pouch;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.charset.StandardCharsets;

/** One piece of a stream: bytes, or on MESSAGE one whole JSON document. */
public final class Frame {
  /** What a frame carries. */
  public enum Channel {
    STDIN,
    STDOUT,
    STDERR,
    DATA,
    MESSAGE
  }

  private final Channel channel;
  private final int dropped;
  private final byte[] data;

  Frame(Slot slot) {
    this.channel = Channel.values()[slot.channel];
    this.dropped = slot.dropped;
    this.data = slot.data;
  }

  public Channel channel() {
    return channel;
  }

  /** How many frames before this one were lost because the reader was slow. */
  public int dropped() {
    return dropped;
  }

  public byte[] data() {
    return data;
  }

  /** The document of a MESSAGE frame. */
  public JsonObject message() {
    return JsonParser.parseString(new String(data, StandardCharsets.UTF_8)).getAsJsonObject();
  }

  /** What the native layer fills. */
  public static final class Slot {
    int channel;
    int dropped;
    byte[] data;
  }
}
