package quorate.e2e;

import cn.leancloud.AVException;
import cn.leancloud.AVLogger;
import cn.leancloud.callback.AVCallback;
import cn.leancloud.core.AVOSCloud;
import cn.leancloud.core.AppConfiguration;
import cn.leancloud.im.AVIMOptions;
import cn.leancloud.im.v2.*;
import cn.leancloud.im.v2.callback.*;
import cn.leancloud.im.v2.conversation.AVIMConversationMemberInfo;
import cn.leancloud.im.v2.conversation.ConversationMemberRole;
import cn.leancloud.im.v2.messages.AVIMLocationMessage;
import cn.leancloud.im.v2.messages.AVIMRecalledMessage;
import cn.leancloud.im.v2.messages.AVIMTextMessage;
import cn.leancloud.session.AVConnectionManager;
import cn.leancloud.types.AVGeoPoint;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** A person by the SDK. Loaded once for each, see {@link People}. */
public final class SdkPerson implements Person {
  private static final long PATIENCE = 15_000;

  private final List<Map<String, Object>> events = new ArrayList<>();
  private final Map<String, AVIMMessage> sent = new ConcurrentHashMap<>();
  private AVIMClient client;

  @Override
  public void start(String id, String app, String key, String server, String socket, Path files) {
    String dir = files.toString() + "/";
    AppConfiguration.configCacheSettings(dir, dir, dir, dir, dir, dir, AppConfiguration.getDefaultSetting());
    AVOSCloud.setLogLevel("debug".equals(System.getenv("SDK_LOG")) ? AVLogger.Level.DEBUG : AVLogger.Level.OFF);
    AVOSCloud.initialize(app, key, server);
    if (socket != null) {
      AVIMOptions.getGlobalOptions().setRtmServer(socket);
    }
    AVIMOptions.getGlobalOptions().setUnreadNotificationEnabled(true);
    AVIMOptions.getGlobalOptions().setResetConnectionWhileBroken(true);
    listen();
    client = AVIMClient.getInstance(id);
  }

  @Override
  public String id() {
    return client.getClientId();
  }

  @Override
  public void open() throws Exception {
    reconnect(); // outside Android the SDK waits to be told
    answer(done -> client.open(new AVIMClientCallback() {
      @Override
      public void done(AVIMClient c, AVIMException e) {
        done.take(c, e);
      }
    }));
  }

  @Override
  public void close() throws Exception {
    answer(done -> client.close(new AVIMClientCallback() {
      @Override
      public void done(AVIMClient c, AVIMException e) {
        done.take(c, e);
      }
    }));
  }

  @Override
  public String create(List<String> members, String name, boolean unique) throws Exception {
    return created(back -> client.createConversation(members, name, null, false, unique, back));
  }

  @Override
  public String createRoom(String name) throws Exception {
    return created(back -> client.createChatRoom(name, null, back));
  }

  private String created(Consumer<AVIMConversationCreatedCallback> call) throws Exception {
    return this.<AVIMConversation>answer(done -> call.accept(new AVIMConversationCreatedCallback() {
      @Override
      public void done(AVIMConversation c, AVIMException e) {
        done.take(c, e);
      }
    })).getConversationId();
  }

  @Override
  public void join(String conversation) throws Exception {
    plain(back -> client.getConversation(conversation).join(back));
  }

  @Override
  public void leave(String conversation) throws Exception {
    plain(back -> client.getConversation(conversation).quit(back));
  }

  @Override
  public void remove(String conversation, List<String> members) throws Exception {
    plain(back -> client.getConversation(conversation).kickMembers(members, back));
  }

  @Override
  public List<String> online(List<String> ids) throws Exception {
    return answer(done -> client.getOnlineClients(ids, new AVIMOnlineClientsCallback() {
      @Override
      public void done(List<String> online, AVIMException e) {
        done.take(online, e);
      }
    }));
  }

  @Override
  public Map<String, Object> say(String conversation, String text, boolean receipt) throws Exception {
    AVIMTextMessage message = new AVIMTextMessage();
    message.setText(text);
    return send(conversation, message, receipt);
  }

  @Override
  public Map<String, Object> sendPlace(String conversation, double latitude, double longitude) throws Exception {
    AVIMLocationMessage message = new AVIMLocationMessage();
    message.setLocation(new AVGeoPoint(latitude, longitude));
    return send(conversation, message, false);
  }

  @Override
  public Map<String, Object> sendBytes(String conversation, byte[] bytes) throws Exception {
    AVIMBinaryMessage message = new AVIMBinaryMessage();
    message.setBytes(bytes);
    return send(conversation, message, false);
  }

  private Map<String, Object> send(String conversation, AVIMMessage message, boolean receipt) throws Exception {
    AVIMMessageOption option = new AVIMMessageOption();
    option.setReceipt(receipt);
    plain(back -> client.getConversation(conversation).sendMessage(message, option, back));
    sent.put(message.getMessageId(), message);
    return describe(message);
  }

  @Override
  public void edit(String conversation, String message, String text) throws Exception {
    AVIMTextMessage now = new AVIMTextMessage();
    now.setText(text);
    answer(done -> client.getConversation(conversation).updateMessage(sent.get(message), now, new AVIMMessageUpdatedCallback() {
      @Override
      public void done(AVIMMessage m, AVException e) {
        done.take(m, e);
      }
    }));
  }

  @Override
  public void recall(String conversation, String message) throws Exception {
    answer(done -> client.getConversation(conversation).recallMessage(sent.get(message), new AVIMMessageRecalledCallback() {
      @Override
      public void done(AVIMRecalledMessage m, AVException e) {
        done.take(m, e);
      }
    }));
  }

  @Override
  public List<Map<String, Object>> history(String conversation, int limit) throws Exception {
    List<AVIMMessage> list = answer(done -> client.getConversation(conversation).queryMessagesFromServer(limit, new AVIMMessagesQueryCallback() {
      @Override
      public void done(List<AVIMMessage> messages, AVIMException e) {
        done.take(messages, e);
      }
    }));
    return list.stream().map(SdkPerson::describe).toList();
  }

  @Override
  public void read(String conversation) {
    client.getConversation(conversation).read();
  }

  @Override
  public int unread(String conversation) {
    return client.getConversation(conversation).getUnreadMessagesCount();
  }

  @Override
  public void makeManager(String conversation, String member) throws Exception {
    plain(back -> client.getConversation(conversation).updateMemberRole(member, ConversationMemberRole.MANAGER, back));
  }

  @Override
  public Map<String, String> roles(String conversation) throws Exception {
    List<AVIMConversationMemberInfo> list = answer(done -> client.getConversation(conversation).getAllMemberInfo(0, 100, new AVIMConversationMemberQueryCallback() {
      @Override
      public void done(List<AVIMConversationMemberInfo> infos, AVIMException e) {
        done.take(infos, e);
      }
    }));
    Map<String, String> roles = new HashMap<>();
    for (AVIMConversationMemberInfo info : list) {
      roles.put(info.getMemberId(), info.getRole().getName());
    }
    return roles;
  }

  @Override
  public void reconnect() throws Exception {
    answer(done -> AVConnectionManager.getInstance().startConnection(new AVCallback<Void>() {
      @Override
      protected void internalDone0(Void nothing, AVException e) {
        done.take(nothing, e);
      }
    }));
  }

  @Override
  public Map<String, Object> await(String event, Predicate<Map<String, Object>> matches) throws Exception {
    long until = System.currentTimeMillis() + PATIENCE;
    synchronized (events) {
      while (true) {
        for (Map<String, Object> e : events) {
          if (event.equals(e.get("event")) && !e.containsKey("taken") && matches.test(e)) {
            e.put("taken", true);
            return e;
          }
        }
        long left = until - System.currentTimeMillis();
        if (left <= 0) {
          throw new TimeoutException(id() + " heard no such " + event + "; it heard " + events);
        }
        events.wait(left);
      }
    }
  }

  @Override
  public int heard(String event, Predicate<Map<String, Object>> matches) {
    synchronized (events) {
      return (int) events.stream().filter(e -> event.equals(e.get("event")) && matches.test(e)).count();
    }
  }

  private void hear(String event, AVIMConversation conversation, Map<String, Object> more) {
    Map<String, Object> e = new HashMap<>(more);
    e.put("event", event);
    e.put("conversation", conversation.getConversationId());
    synchronized (events) {
      events.add(e);
      events.notifyAll();
    }
  }

  private void listen() {
    AVIMMessageManager.registerDefaultMessageHandler(new AVIMMessageHandler() {
      @Override
      public void onMessage(AVIMMessage m, AVIMConversation c, AVIMClient who) {
        hear("message", c, describe(m));
      }

      @Override
      public void onMessageReceipt(AVIMMessage m, AVIMConversation c, AVIMClient who) {
        hear("receipt", c, describe(m));
      }
    });
    AVIMMessageManager.setConversationEventHandler(new Handler());
    AVIMClient.setClientEventHandler(new AVIMClientEventHandler() {
      @Override
      public void onConnectionPaused(AVIMClient c) {
        status("paused");
      }

      @Override
      public void onConnectionResume(AVIMClient c) {
        status("resumed");
      }

      @Override
      public void onClientOffline(AVIMClient c, int code) {
        status("offline");
      }
    });
  }

  private void status(String event) {
    synchronized (events) {
      events.add(new HashMap<>(Map.of("event", event)));
      events.notifyAll();
    }
  }

  private final class Handler extends AVIMConversationEventHandler {
    @Override
    public void onInvited(AVIMClient who, AVIMConversation c, String by) {
      hear("invited", c, Map.of("by", by));
    }

    @Override
    public void onKicked(AVIMClient who, AVIMConversation c, String by) {
      hear("kicked", c, Map.of("by", by));
    }

    @Override
    public void onMemberJoined(AVIMClient who, AVIMConversation c, List<String> members, String by) {
      hear("joined", c, Map.of("by", by, "members", members));
    }

    @Override
    public void onMemberLeft(AVIMClient who, AVIMConversation c, List<String> members, String by) {
      hear("left", c, Map.of("by", by, "members", members));
    }

    @Override
    public void onUnreadMessagesCountUpdated(AVIMClient who, AVIMConversation c) {
      hear("unread", c, Map.of("count", c.getUnreadMessagesCount()));
    }

    @Override
    public void onLastDeliveredAtUpdated(AVIMClient who, AVIMConversation c) {
      hear("delivered", c, Map.of("at", c.getLastDeliveredAt()));
    }

    @Override
    public void onLastReadAtUpdated(AVIMClient who, AVIMConversation c) {
      hear("read", c, Map.of("at", c.getLastReadAt()));
    }

    @Override
    public void onMessageUpdated(AVIMClient who, AVIMConversation c, AVIMMessage m) {
      hear("updated", c, describe(m));
    }

    @Override
    public void onMessageRecalled(AVIMClient who, AVIMConversation c, AVIMMessage m) {
      hear("recalled", c, describe(m));
    }

    @Override
    public void onMemberInfoUpdated(AVIMClient who, AVIMConversation c, AVIMConversationMemberInfo info, List<String> keys, String by) {
      hear("role", c, Map.of("by", by, "member", info.getMemberId(), "role", info.getRole().getName()));
    }
  }

  private static Map<String, Object> describe(AVIMMessage m) {
    Map<String, Object> d = new HashMap<>();
    d.put("id", m.getMessageId());
    d.put("from", m.getFrom());
    d.put("timestamp", m.getTimestamp());
    d.put("class", m.getClass().getSimpleName());
    if (m instanceof AVIMTextMessage text) {
      d.put("text", text.getText());
    }
    if (m instanceof AVIMLocationMessage place) {
      d.put("latitude", place.getLocation().getLatitude());
      d.put("longitude", place.getLocation().getLongitude());
    }
    if (m instanceof AVIMBinaryMessage binary) {
      d.put("bytes", binary.getBytes());
    }
    return d;
  }

  /** Takes the SDK's answer to one call. */
  private interface Done<T> {
    void take(T value, Exception e);
  }

  private <T> T answer(Consumer<Done<T>> call) throws Exception {
    CompletableFuture<T> future = new CompletableFuture<>();
    call.accept((value, e) -> {
      if (e == null) {
        future.complete(value);
      } else {
        int code = e instanceof AVException known ? known.getCode() : -1;
        future.completeExceptionally(new Refused(code, e.getMessage()));
      }
    });
    try {
      return future.get(PATIENCE, TimeUnit.MILLISECONDS);
    } catch (ExecutionException e) {
      throw (Exception) e.getCause();
    }
  }

  private void plain(Consumer<AVIMConversationCallback> call) throws Exception {
    answer(done -> call.accept(new AVIMConversationCallback() {
      @Override
      public void done(AVIMException e) {
        done.take(null, e);
      }
    }));
  }
}
