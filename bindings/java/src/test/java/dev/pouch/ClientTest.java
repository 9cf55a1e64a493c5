package dev.pouch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import dev.pouch.gen.Models;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The binding on the mock engine; engines are the conformance run's matter. */
class ClientTest {
  @TempDir Path folder;
  private Client client;

  private static void addFile(ByteArrayOutputStream tar, String name, String text) {
    byte[] header = new byte[512];
    byte[] data = text.getBytes(StandardCharsets.UTF_8);
    System.arraycopy(name.getBytes(StandardCharsets.UTF_8), 0, header, 0, name.length());
    byte[] size = String.format("%011o", data.length).getBytes(StandardCharsets.UTF_8);
    System.arraycopy(size, 0, header, 124, size.length);
    System.arraycopy("ustar".getBytes(StandardCharsets.UTF_8), 0, header, 257, 5);
    tar.writeBytes(header);
    tar.writeBytes(data);
    tar.writeBytes(new byte[(512 - data.length % 512) % 512]);
  }

  @BeforeEach
  void open() throws IOException {
    ByteArrayOutputStream tar = new ByteArrayOutputStream();
    addFile(tar, "config.json", "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"sh\"]}}");
    addFile(tar, "manifest.json", "[{\"Config\":\"config.json\",\"RepoTags\":[\"busybox:latest\"],\"Layers\":[]}]");
    tar.writeBytes(new byte[1024]);
    Path archive = Files.write(folder.resolve("busybox.tar"), tar.toByteArray());
    client = new Client("mock://");
    assertEquals(List.of("busybox:latest"), client.loadImages(archive));
  }

  @AfterEach
  void close() {
    client.close();
  }

  private static Models.ContainerCreateConfig sh(String script) {
    Models.ContainerCreateConfig config = new Models.ContainerCreateConfig();
    config.Image = "busybox";
    config.Cmd = List.of("sh", "-c", script);
    config.HostConfig = new Models.HostConfig();
    config.HostConfig.NetworkMode = "none";
    return config;
  }

  /** A signal sent before the script has set its trap would end it. */
  private void awaitOutput(String id) {
    Models.ContainerLogsOptions options = new Models.ContainerLogsOptions();
    options.stdout = true;
    options.follow = true;
    try (PouchStream stream = client.containers.logs(id, options, Call.NONE)) {
      assertTrue(stream.next().isPresent());
    }
  }

  @Test
  void pullsWithAccounts() {
    Models.PulledImage image = client.pullImage("team/box:1", null);
    assertEquals("team/box:1", image.Reference);
    assertTrue(image.IsNew);
    assertThrows(PouchException.class, () -> client.pullImage("team/private", null));
    Models.AuthConfig account = new Models.AuthConfig();
    account.password = "secret";
    assertTrue(client.pullImage("team/private", account).IsNew);
    assertThrows(PouchException.class, () -> client.pullImage("absent", null));
  }

  @Test
  void runsAndReturnsOutput() throws IOException {
    Client.Run run = client.run(sh("echo out; echo err >&2; exit 3"), null, null);
    assertEquals("out\n", new String(run.stdout(), StandardCharsets.UTF_8));
    assertEquals("err\n", new String(run.stderr(), StandardCharsets.UTF_8));
    assertEquals(3, run.exitCode());
  }

  private static void readUntil(PouchStream stream, String text) {
    StringBuilder all = new StringBuilder();
    while (!all.toString().endsWith(text)) {
      all.append(new String(stream.next().orElseThrow().data(), StandardCharsets.UTF_8));
    }
  }

  @Test
  void terminalOfAContainerIsResizedAndLeft() {
    Models.ContainerCreateConfig config = sh("read x; stty size; cat");
    config.Tty = true;
    config.OpenStdin = true;
    String id = client.containers.create(config, null, Call.NONE).Id;
    Models.ContainerAttachOptions options = new Models.ContainerAttachOptions();
    options.stream = true;
    options.stdin = true;
    options.stdout = true;
    try (PouchStream stream = client.containers.attach(id, options, Call.NONE)) {
      assertEquals(PouchException.Code.CONFLICT,
          assertThrows(PouchException.class, () -> stream.resize(1, 2)).code());
      client.containers.start(id, null, Call.NONE);
      stream.resize(10, 20);
      stream.write(new byte[] {'\n'});
      readUntil(stream, "\r\n10 20\r\n");
      stream.write(new byte[] {0x10, 0x11});
      assertTrue(stream.finish().get("Detached").getAsBoolean());
    }
    Models.ContainerResizeOptions size = new Models.ContainerResizeOptions();
    size.h = 3L;
    size.w = 4L;
    client.containers.resize(id, size, Call.NONE);
    client.containers.kill(id, null, Call.NONE);
  }

  @Test
  void terminalOfAnExecIsResized() {
    String id = client.runDetached(sh("sleep 100"), null);
    Models.ExecConfig config = new Models.ExecConfig();
    config.Cmd = List.of("sh", "-c", "stty size; read x; stty size; exit 3");
    config.Tty = true;
    config.AttachStdin = true;
    config.AttachStdout = true;
    config.ConsoleSize = List.of(5L, 6L);
    Models.ExecStartConfig start = new Models.ExecStartConfig();
    start.Tty = true;
    try (PouchStream stream = client.execs.start(client.execs.create(id, config, Call.NONE).Id, start, Call.NONE)) {
      readUntil(stream, "5 6\r\n");
      stream.resize(7, 8);
      stream.write(new byte[] {'\n'});
      readUntil(stream, "\r\n7 8\r\n");
      assertEquals(3, stream.finish().get("ExitCode").getAsInt());
    }
    client.containers.kill(id, null, Call.NONE);
  }

  @Test
  void carriesBytesBothWays() throws IOException {
    Models.ContainerCreateConfig config = sh("cat");
    config.OpenStdin = true;
    config.StdinOnce = true;
    byte[] bytes = {0, (byte) 0xff, 'a', 0};
    assertArrayEquals(bytes, client.run(config, null, bytes).stdout());
  }

  @Test
  void errorsHaveCodesAndDetails() {
    PouchException missing = assertThrows(PouchException.class, () -> client.containers.inspect("nosuch", null, Call.NONE));
    assertEquals(PouchException.Code.NOT_FOUND, missing.code());
    Models.ContainerCreateConfig config = sh("true");
    config.HostConfig.Memory = 1L;
    assertEquals(PouchException.Code.INVALID_ARGUMENT,
        assertThrows(PouchException.class, () -> client.containers.create(config, null, Call.NONE)).code());
    assertThrows(PouchException.class, () -> client.call("container.fly", List.of(), null, null, null, Call.NONE));
  }

  @Test
  void deadlineAndCancelEndACall() throws InterruptedException {
    String id = client.runDetached(sh("trap '' TERM; echo ready; sleep 100"), null);
    awaitOutput(id);
    Models.ContainerStopOptions patience = new Models.ContainerStopOptions();
    patience.t = 60L;
    try (Call call = Call.within(Duration.ofMillis(50))) {
      assertEquals(PouchException.Code.DEADLINE_EXCEEDED,
          assertThrows(PouchException.class, () -> client.containers.stop(id, patience, call)).code());
    }
    try (Call call = Call.cancellable()) {
      Thread canceller = new Thread(() -> {
        try {
          Thread.sleep(50);
        } catch (InterruptedException stopped) {
          Thread.currentThread().interrupt();
        }
        call.cancel();
      });
      canceller.start();
      assertEquals(PouchException.Code.CANCELLED,
          assertThrows(PouchException.class, () -> client.containers.stop(id, patience, call)).code());
      canceller.join();
    }
  }

  @Test
  void closeWaitsForCallsInFlight() throws InterruptedException {
    String id = client.runDetached(sh("sleep 100"), null);
    Models.ContainerLogsOptions options = new Models.ContainerLogsOptions();
    options.stdout = true;
    options.follow = true;
    PouchStream stream = client.containers.logs(id, options, Call.NONE);
    assertThrows(TimeoutException.class, () -> stream.next(Duration.ofMillis(20)));
    Thread reader = new Thread(() -> assertThrows(PouchException.class, stream::next));
    reader.start();
    Thread.sleep(50);
    stream.close();
    reader.join(5000);
    assertTrue(!reader.isAlive());
    client.close();
    client.close();
    assertEquals(PouchException.Code.CLOSED,
        assertThrows(PouchException.class, () -> client.system.ping(Call.NONE)).code());
  }

  @Test
  void resetIsOfRootsHere() {
    assertEquals(PouchException.Code.NOT_IMPLEMENTED,
        assertThrows(PouchException.class, () -> Connection.reset("mock://", true, false, Call.NONE)).code());
  }

  @Test
  void checkNeedsNoClient() {
    assertTrue(Connection.check("mock://", Call.NONE).Ok);
    Models.CheckReport report = Connection.check("unix:///nonexistent.sock", Call.NONE);
    assertTrue(!report.Ok);
    assertEquals("socket", report.Findings.get(0).Name);
    assertEquals(PouchException.Code.INVALID_ARGUMENT,
        assertThrows(PouchException.class, () -> Connection.check("gopher://", Call.NONE)).code());
  }

  @Test
  void logsCarryTheNameOfTheCall() throws InterruptedException {
    BlockingQueue<JsonObject> records = new LinkedBlockingQueue<>();
    try (Logs logs = Logs.forward(4, records::add); Call call = Call.cancellable().named("java-1")) {
      client.system.ping(call);
      JsonObject record = records.poll(10, TimeUnit.SECONDS);
      assertEquals("java-1", record.get("request_id").getAsString());
      assertTrue(record.get("message").getAsString().startsWith("system.ping: Ok"));
    }
  }

  @Test
  void everyGeneratedOperationIsKnown() {
    for (String op : List.of("container.create", "container.wait", "exec.start", "image.load", "system.events")) {
      assertTrue(client.supports(op), op);
    }
    assertEquals("linux", client.system.ping(Call.NONE).OSType);
  }

  @Test
  void sessionIsOpenedAtOnce() {
    String address = "unix://" + folder.resolve("nobody.sock");
    new Client(address).close();
    PouchException nobody = assertThrows(PouchException.class, () -> new Client(address, 0, true));
    assertEquals(PouchException.Code.UNAVAILABLE, nobody.code());
    new Client("mock://", 0, true).close();
  }
}
