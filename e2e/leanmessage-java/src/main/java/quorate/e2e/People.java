package quorate.e2e;

import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Makes persons, each with a copy of the SDK. */
final class People {
  private final List<URL> classes = new ArrayList<>();

  People(Path built, Path libraries) throws Exception {
    classes.add(built.toUri().toURL());
    try (var jars = Files.list(libraries)) {
      for (Path jar : jars.filter(p -> p.toString().endsWith(".jar")).toList()) {
        classes.add(jar.toUri().toURL());
      }
    }
  }

  Person make() throws Exception {
    var loader = new URLClassLoader(classes.toArray(URL[]::new), new Shared(ClassLoader.getPlatformClassLoader()));
    return (Person) loader.loadClass("quorate.e2e.SdkPerson").getDeclaredConstructor().newInstance();
  }

  /** What all copies have in common: the JDK and the interface. */
  private static final class Shared extends ClassLoader {
    Shared(ClassLoader parent) {
      super(parent);
    }

    @Override
    protected Class<?> findClass(String name) throws ClassNotFoundException {
      if (name.equals(Person.class.getName()) || name.startsWith(Person.class.getName() + "$")) {
        return Person.class.getClassLoader().loadClass(name);
      }
      throw new ClassNotFoundException(name);
    }
  }
}
