package quorate.e2e;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * A user with a device of its own. The SDK keeps its connection in statics, so each person has a
 * class loader of its own, and only what is in the JDK goes through this interface. Calls wait for
 * the SDK's answer; a refusal is a {@link Refused}.
 */
public interface Person {
  /** Sets the SDK up. The socket goes to a URL of its own if that is not null. */
  void start(String id, String app, String key, String server, String socket, Path files);

  String id();

  void open() throws Exception;

  void close() throws Exception;

  /** Makes a conversation and returns its id. */
  String create(List<String> members, String name, boolean unique) throws Exception;

  String createRoom(String name) throws Exception;

  void join(String conversation) throws Exception;

  void leave(String conversation) throws Exception;

  void remove(String conversation, List<String> members) throws Exception;

  List<String> online(List<String> ids) throws Exception;

  /** Sends a text, and returns the message. */
  Map<String, Object> say(String conversation, String text, boolean receipt) throws Exception;

  Map<String, Object> sendPlace(String conversation, double latitude, double longitude) throws Exception;

  Map<String, Object> sendBytes(String conversation, byte[] bytes) throws Exception;

  /** Changes a message that was sent here. */
  void edit(String conversation, String message, String text) throws Exception;

  void recall(String conversation, String message) throws Exception;

  /** The newest messages that the server has, oldest first. */
  List<Map<String, Object>> history(String conversation, int limit) throws Exception;

  void read(String conversation) throws Exception;

  int unread(String conversation);

  void makeManager(String conversation, String member) throws Exception;

  /** Roles of those who are more than members. */
  Map<String, String> roles(String conversation) throws Exception;

  /** What an app does when its connection is gone for good. */
  void reconnect() throws Exception;

  /** Waits for an event of that name which nobody has waited for before. */
  Map<String, Object> await(String event, Predicate<Map<String, Object>> matches) throws Exception;

  /** How often an event was heard so far. */
  int heard(String event, Predicate<Map<String, Object>> matches);

  /** The server's no. */
  final class Refused extends Exception {
    private static final long serialVersionUID = 1;

    public final int code;

    public Refused(int code, String text) {
      super(code + " " + text);
      this.code = code;
    }
  }
}
