import dev.pouch.Client;
import dev.pouch.gen.Models;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** A JVM, whose threads wait for its own children, runs containers. The image is there. usage: Reaper URI */
public final class Reaper {
  private static final int WORKERS = 4;
  private static final int ROUNDS = 4;

  private Reaper() {}

  private static Void work(Client client) throws IOException, InterruptedException {
    for (int i = 0; i < ROUNDS; i++) {
      Process child = new ProcessBuilder("sh", "-c", "exit 5").start();
      Models.ContainerCreateConfig config = new Models.ContainerCreateConfig();
      config.Image = "busybox";
      config.Cmd = List.of("echo", "hi");
      config.HostConfig = new Models.HostConfig();
      config.HostConfig.AutoRemove = true;
      String output = new String(client.run(config, null, null).stdout());
      if (!output.equals("hi\n")) {
        throw new IllegalStateException("the container said " + output);
      }
      if (!child.waitFor(60, TimeUnit.SECONDS) || child.exitValue() != 5) {
        throw new IllegalStateException("the child's exit status is lost");
      }
    }
    return null;
  }

  public static void main(String[] args) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(WORKERS);
    try (Client client = new Client(args[0])) {
      List<Future<Void>> results = new ArrayList<>();
      for (int i = 0; i < WORKERS; i++) {
        results.add(threads.submit(() -> work(client)));
      }
      for (Future<Void> result : results) {
        result.get();
      }
    } finally {
      threads.shutdown();
    }
  }
}
