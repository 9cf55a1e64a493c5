import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.gson.annotations.SerializedName;
import dev.pouch.Call;
import dev.pouch.Client;
import dev.pouch.Connection;
import dev.pouch.Frame;
import dev.pouch.PouchException;
import dev.pouch.PouchStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.Timer;
import java.util.TimerTask;
import java.util.UUID;

/** The Java driver: typed operations of dev.pouch, found by name. See ../../README.md. */
public final class Driver {
  private static final int LARGE = 1 << 20;
  private static final Gson SHOW = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
  private static final Set<String> STREAMS = Set.of("container.attach", "container.export", "container.logs", "container.wait", "exec.start",
      "image.copy_from", "image.from_rootfs", "image.import_tar", "image.load", "image.pull", "image.push", "image.save", "system.events", "system.session");

  private final Client client;
  private final Map<String, String> variables = new HashMap<>();
  private final Map<String, PouchStream> background = new HashMap<>();
  private final Timer timer = new Timer(true);

  private Driver(Client client) {
    this.client = client;
    variables.put("run", UUID.randomUUID().toString().substring(0, 8));
  }

  /** One line of output. */
  private static final class Line {
    final JsonObject fields = new JsonObject();
    final Map<String, ByteArrayOutputStream> bytes = new HashMap<>();

    Line(int step) {
      fields.addProperty("step", step);
      fields.addProperty("code", "Ok");
      fields.addProperty("message", "");
      fields.add("result", JsonNull.INSTANCE);
    }

    void fail(PouchException error) {
      if (fields.get("code").getAsString().equals("Ok")) {
        fields.addProperty("code", error.code().wireName());
        fields.addProperty("message", error.getMessage());
      }
    }

    void add(Frame frame) {
      if (frame.channel() == Frame.Channel.MESSAGE) {
        if (!fields.has("messages")) {
          fields.add("messages", new JsonArray());
        }
        fields.getAsJsonArray("messages").add(frame.message());
      } else {
        bytes.computeIfAbsent(frame.channel().name().toLowerCase(), n -> new ByteArrayOutputStream()).writeBytes(frame.data());
      }
    }

    void show() throws Exception {
      for (Map.Entry<String, ByteArrayOutputStream> entry : bytes.entrySet()) {
        byte[] data = entry.getValue().toByteArray();
        fields.addProperty(entry.getKey(), data.length > LARGE
            ? "sha256:" + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data)) + ":" + data.length
            : Base64.getEncoder().encodeToString(data));
      }
      System.out.println(SHOW.toJson(fields));
    }
  }

  private JsonElement substitute(JsonElement value) {
    if (value.isJsonPrimitive() && value.getAsJsonPrimitive().isString()) {
      return new JsonPrimitive(substitute(value.getAsString()));
    }
    if (value.isJsonArray()) {
      JsonArray out = new JsonArray();
      value.getAsJsonArray().forEach(element -> out.add(substitute(element)));
      return out;
    }
    if (!value.isJsonObject()) {
      return value;
    }
    JsonObject out = new JsonObject();
    value.getAsJsonObject().entrySet().stream().filter(e -> !e.getKey().startsWith("expect"))
        .forEach(e -> out.add(substitute(e.getKey()), substitute(e.getValue())));
    return out;
  }

  private String substitute(String text) {
    String out = text;
    for (Map.Entry<String, String> variable : variables.entrySet()) {
      out = out.replace("${" + variable.getKey() + "}", variable.getValue());
    }
    return out;
  }

  private static long number(JsonObject step, String name) {
    return step.has(name) ? step.get(name).getAsLong() : 0;
  }

  private static boolean flag(JsonObject step, String name) {
    return step.has(name) && step.get(name).getAsBoolean();
  }

  private void later(long ms, Runnable action) {
    timer.schedule(new TimerTask() {
      @Override
      public void run() {
        action.run();
      }
    }, ms);
  }

  private Method method(String op) {
    String[] parts = op.split("\\.", 2);
    String noun = Map.of("container", "containers", "exec", "execs", "image", "images", "network", "networks", "system", "system", "volume", "volumes")
        .getOrDefault(parts[0], "");
    if (noun.isEmpty() || parts.length < 2) {
      return null;
    }
    StringBuilder name = new StringBuilder();
    for (String part : parts[1].split("_")) {
      name.append(name.length() == 0 ? part : Character.toUpperCase(part.charAt(0)) + part.substring(1));
    }
    String wanted = name.toString().equals("wait") ? "waitUntil" : name.toString();
    for (Method method : operations(noun).getClass().getDeclaredMethods()) {
      if (method.getName().equals(wanted)) {
        return method;
      }
    }
    return null;
  }

  private Object operations(String noun) {
    return switch (noun) {
      case "containers" -> client.containers;
      case "execs" -> client.execs;
      case "images" -> client.images;
      default -> client.system;
    };
  }

  /** True when the class has every field of the document, all the way down. */
  private static boolean fits(JsonElement document, Class<?> type) {
    if (document == null || !document.isJsonObject() || !type.getName().startsWith("dev.pouch.gen")) {
      return document == null || !type.getName().startsWith("dev.pouch.gen");
    }
    for (Map.Entry<String, JsonElement> entry : document.getAsJsonObject().entrySet()) {
      Field found = null;
      for (Field field : type.getFields()) {
        SerializedName name = field.getAnnotation(SerializedName.class);
        if ((name == null ? field.getName() : name.value()).equals(entry.getKey())) {
          found = field;
        }
      }
      if (found == null || entry.getValue().isJsonNull() || !fits(entry.getValue(), found.getType())
          || !sameKind(entry.getValue(), found.getType())) {
        return false;
      }
    }
    return true;
  }

  private static boolean sameKind(JsonElement value, Class<?> type) {
    if (!value.isJsonPrimitive()) {
      return value.isJsonArray() == (type == List.class);
    }
    JsonPrimitive primitive = value.getAsJsonPrimitive();
    return primitive.isString() ? type == String.class
        : primitive.isBoolean() ? type == Boolean.class : type == Long.class && !primitive.getAsString().contains(".");
  }

  private Object run(JsonObject step, Call call) throws IllegalAccessException {
    String op = step.get("op").getAsString();
    List<String> ids = new ArrayList<>();
    if (step.has("ids")) {
      step.getAsJsonArray("ids").forEach(id -> ids.add(id.getAsString()));
    }
    Method method = method(op);
    List<Object> arguments = new ArrayList<>(ids);
    boolean fits = method != null;
    if (fits) {
      Class<?>[] types = method.getParameterTypes();
      for (int i = ids.size(); i < types.length - 1 && fits; i++) {
        boolean options = types[i].getSimpleName().endsWith("Options");
        JsonElement document = step.get(options ? "options" : "config");
        fits = fits(document, types[i]) && types[i] != String.class;
        arguments.add(document == null || !fits ? null : Connection.GSON.fromJson(document, types[i]));
      }
      arguments.add(call);
      fits = fits && arguments.size() == types.length;
    }
    if (!fits) {
      JsonElement config = step.get("config");
      JsonElement options = step.get("options");
      return STREAMS.contains(op) ? client.open(op, ids, config, options, call)
          : client.call(op, ids, config, options, JsonElement.class, call);
    }
    try {
      String noun = Map.of("container", "containers", "exec", "execs", "image", "images", "network", "networks", "system", "system", "volume", "volumes").get(op.split("\\.")[0]);
      return method.invoke(operations(noun), arguments.toArray());
    } catch (InvocationTargetException thrown) {
      throw (RuntimeException) thrown.getCause();
    }
  }

  private void operation(JsonObject step, Line line) throws Exception {
    boolean limited = step.has("deadline_ms");
    try (Call call = limited ? Call.within(Duration.ofMillis(number(step, "deadline_ms"))) : Call.cancellable()) {
      boolean streaming = STREAMS.contains(step.get("op").getAsString());
      if (step.has("cancel_after_ms") && !streaming && number(step, "cancel_after_ms") == 0) {
        call.cancel();
      } else if (step.has("cancel_after_ms") && !streaming) {
        later(number(step, "cancel_after_ms"), () -> {
          try {
            call.cancel();
          } catch (PouchException closed) {
            return; // the call was over first
          }
        });
      }
      Object result = run(step, call);
      if (!(result instanceof PouchStream)) {
        line.fields.add("result", result == null ? JsonNull.INSTANCE : Connection.GSON.toJsonTree(result));
        return;
      }
      PouchStream stream = (PouchStream) result;
      if (step.has("background")) {
        background.put(step.get("background").getAsString(), stream);
      } else if (flag(step, "abandon")) {
        stream.detach();
      } else {
        read(stream, step, line);
      }
    } catch (PouchException error) {
      line.fail(error);
    }
  }

  private static InputStream input(JsonObject step) throws IOException {
    if (step.has("input")) {
      return new ByteArrayInputStream(step.get("input").getAsString().getBytes(StandardCharsets.UTF_8));
    }
    if (step.has("input_base64")) {
      return new ByteArrayInputStream(Base64.getDecoder().decode(step.get("input_base64").getAsString()));
    }
    if (step.has("input_zeros")) {
      return new ByteArrayInputStream(new byte[(int) number(step, "input_zeros")]);
    }
    return step.has("upload") ? Files.newInputStream(Path.of(step.get("upload").getAsString())) : null;
  }

  private static void feed(PouchStream stream, JsonObject step) {
    try (InputStream in = input(step)) {
      if (in == null) {
        return;
      }
      byte[] buffer = new byte[LARGE];
      for (int count = in.read(buffer); count > 0; count = in.read(buffer)) {
        stream.write(java.util.Arrays.copyOf(buffer, count));
      }
      if (!flag(step, "keep_input_open")) {
        stream.closeWrite();
      }
    } catch (IOException broken) {
      throw new IllegalStateException(broken);
    } catch (PouchException refused) {
      return; // the reader learns why
    }
  }

  private void read(PouchStream stream, JsonObject step, Line line) throws Exception {
    Thread feeder = new Thread(() -> feed(stream, step));
    feeder.start();
    if (step.has("cancel_after_ms")) {
      later(number(step, "cancel_after_ms"), stream::cancel);
    }
    try {
      long frames = 0;
      for (Optional<Frame> frame = stream.next(); frame.isPresent(); frame = stream.next()) {
        line.add(frame.get());
        if (++frames == number(step, "max_frames")) {
          stream.cancel();
          return;
        }
        Thread.sleep(number(step, "read_delay_ms"));
      }
      JsonObject result = stream.finish();
      line.fields.add("result", result.size() == 0 ? JsonNull.INSTANCE : result);
    } catch (PouchException error) {
      line.fail(error);
      stream.cancel();
    } finally {
      feeder.join();
      stream.close();
    }
  }

  private void step(int number, JsonElement raw) throws Exception {
    JsonObject step = substitute(raw).getAsJsonObject();
    Line line = new Line(number);
    if (step.has("sleep_ms")) {
      Thread.sleep(number(step, "sleep_ms"));
    } else if (flag(step, "close")) {
      client.close();
    } else if (step.has("resize")) {
      try {
        background.get(step.get("resize").getAsString())
            .resize((int) number(step, "rows"), (int) number(step, "columns"));
      } catch (PouchException error) {
        line.fail(error);
      }
    } else if (step.has("join")) {
      read(background.remove(step.get("join").getAsString()), step, line);
    } else {
      operation(step, line);
    }
    JsonElement result = line.fields.get("result");
    if (step.has("save") && result.isJsonObject()) {
      step.getAsJsonObject("save").entrySet().stream()
          .filter(e -> result.getAsJsonObject().has(e.getValue().getAsString()))
          .forEach(e -> variables.put(e.getKey(), result.getAsJsonObject().get(e.getValue().getAsString()).getAsString()));
    }
    line.show();
  }

  public static void main(String[] args) throws Exception {
    Driver driver = new Driver(new Client(args[0]));
    for (int i = 2; i < args.length; i++) {
      String[] pair = args[i].split("=", 2);
      driver.variables.put(pair[0], pair[1]);
    }
    JsonObject script = JsonParser.parseString(Files.readString(Path.of(args[1]))).getAsJsonObject();
    int number = 0;
    for (JsonElement step : script.getAsJsonArray("steps")) {
      driver.step(number++, step);
    }
    System.exit(0);
  }
}
