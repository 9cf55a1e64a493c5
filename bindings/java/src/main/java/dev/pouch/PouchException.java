package dev.pouch;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.charset.StandardCharsets;

/** A call failed. */
public final class PouchException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final Code code;
  private final transient JsonObject details;
  private final boolean retriable;

  private PouchException(Code code, String message, JsonObject details, boolean retriable) {
    super(message);
    this.code = code;
    this.details = details;
    this.retriable = retriable;
  }

  /** Called by the native layer. */
  static PouchException of(int status, byte[] message, byte[] details, boolean retriable) {
    String text = new String(details, StandardCharsets.UTF_8);
    JsonObject facts = text.isEmpty() ? new JsonObject() : JsonParser.parseString(text).getAsJsonObject();
    return new PouchException(Code.of(status), new String(message, StandardCharsets.UTF_8), facts, retriable);
  }

  static PouchException of(Code code, String message) {
    return new PouchException(code, message, new JsonObject(), false);
  }

  /** Why. */
  public Code code() {
    return code;
  }

  /** Facts for programs; empty when there are none. */
  public JsonObject details() {
    return details == null ? new JsonObject() : details;
  }

  /** Whether the same call may succeed later without any change. */
  public boolean isRetriable() {
    return retriable;
  }

  /** The reasons, with the numbers of pouch/error.h. */
  public enum Code {
    INTERNAL(-1, "Internal"),
    INVALID_ARGUMENT(-2, "InvalidArgument"),
    NOT_FOUND(-3, "NotFound"),
    ALREADY_EXISTS(-4, "AlreadyExists"),
    CONFLICT(-5, "Conflict"),
    NOT_MODIFIED(-6, "NotModified"),
    PERMISSION_DENIED(-7, "PermissionDenied"),
    UNAUTHENTICATED(-8, "Unauthenticated"),
    NOT_IMPLEMENTED(-9, "NotImplemented"),
    UNAVAILABLE(-10, "Unavailable"),
    DEADLINE_EXCEEDED(-11, "DeadlineExceeded"),
    CANCELLED(-12, "Cancelled"),
    RESOURCE_EXHAUSTED(-13, "ResourceExhausted"),
    DATA_LOSS(-14, "DataLoss"),
    FORKED(-15, "Forked"),
    CLOSED(-16, "Closed"),
    LAGGED(-17, "Lagged"),
    OUT_OF_MEMORY(-18, "OutOfMemory");

    private final int status;
    private final String wireName;

    Code(int status, String wireName) {
      this.status = status;
      this.wireName = wireName;
    }

    /** "NotFound": the name in documents and in every language. */
    public String wireName() {
      return wireName;
    }

    static Code of(int status) {
      for (Code code : values()) {
        if (code.status == status) {
          return code;
        }
      }
      return INTERNAL;
    }
  }
}
