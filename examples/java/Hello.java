import dev.pouch.Client;
import dev.pouch.PouchException;
import dev.pouch.gen.Models;
import java.io.IOException;
import java.util.List;

/** Runs a container and prints what it says. usage: Hello [URI] */
public final class Hello {
  private Hello() {}

  public static void main(String[] args) throws IOException {
    String uri = args.length > 0 ? args[0] : null; // null: $POUCH_HOST, the config file, the daemon's socket
    Models.ContainerCreateConfig config = new Models.ContainerCreateConfig();
    config.Image = "busybox";
    config.Cmd = List.of("echo", "hello from a container");
    config.HostConfig = new Models.HostConfig();
    config.HostConfig.NetworkMode = "none";
    config.HostConfig.AutoRemove = true;
    try (Client client = new Client(uri)) {
      System.out.write(client.run(config, null, null).stdout());
      System.out.flush();
    } catch (PouchException error) {
      System.err.println("hello: " + error.getMessage());
      System.exit(1);
    }
  }
}
