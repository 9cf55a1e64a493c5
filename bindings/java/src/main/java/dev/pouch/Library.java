package dev.pouch;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Finds the JNI library: by -Dpouch.library=/path, by java.library.path, or in the jar. */
final class Library {
  private static final String NAME = "pouch_jni";

  private Library() {}

  static {
    load();
  }

  /** Makes sure that it is loaded. */
  static void require() {}

  private static void load() {
    String path = System.getProperty("pouch.library");
    if (path != null) {
      System.load(path);
      return;
    }
    try {
      System.loadLibrary(NAME);
    } catch (UnsatisfiedLinkError onPath) {
      try (InputStream resource = Library.class.getResourceAsStream("/native/" + System.mapLibraryName(NAME))) {
        if (resource == null) {
          throw new UnsatisfiedLinkError("no " + System.mapLibraryName(NAME)
              + ": not in java.library.path, not in the jar; set -Dpouch.library=/path (" + onPath.getMessage() + ")");
        }
        Path copy = Files.createTempFile("pouch", ".so");
        Files.copy(resource, copy, StandardCopyOption.REPLACE_EXISTING);
        System.load(copy.toString());
        Files.delete(copy);
      } catch (IOException failed) {
        throw new UnsatisfiedLinkError("unpack " + NAME + " from the jar: " + failed.getMessage());
      }
    }
  }
}
