package leanrest

import (
	"net/http"
	"slices"

	"github.com/quorate/quorate/shard/state"
)

// route is one kind of request.
type route struct {
	method, path string
	does         string // for people
	need         need
	family       family
	kind         state.Preset // of the conversation in the path; 0: any
	query, body  string       // names of what it wants: see parameters in openapi.go
	answer       string       // and of what it answers: a name, or "name:type" …
	created      bool         // answers 201
	handle       func(*request) (any, error)
}

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	remove = http.MethodDelete

	v2 = "/1.2/rtm"
	v1 = "/1.1/rtm"

	pageQuery     = "where skip:integer limit:integer order"
	historyQuery  = "msgid timestamp:integer till_msgid till_timestamp:integer include_start:boolean include_stop:boolean reversed:boolean limit:integer client_id nonce signature_ts:integer signature"
	sendBody      = "from_client! message! transient:boolean no_sync:boolean push_data priority mention_all:boolean mention_client_ids:strings bin:boolean"
	messageQuery  = "from_client! timestamp!:integer"
	idsBody       = "client_ids!:strings"
	broadcastBody = "from_client! conv_id! message! valid_till:integer push:object transient:boolean"
	listQuery     = "limit:integer next"
)

// routes lists what the door answers.
func routes() []route {
	return slices.Concat(
		conversationRoutes(), peopleRoutes(), memberRoutes(), roomRoutes(), serviceRoutes(), speakRoutes(), clientRoutes(), appRoutes(),
		oldRoutes(), oldServiceRoutes(), classRoutes(), documentRoutes())
}

// kinds are the three families of paths.
func kinds() []struct {
	path string
	name string
	kind state.Preset
} {
	return []struct {
		path string
		name string
		kind state.Preset
	}{
		{v2 + "/conversations", "conversation", state.PresetBasic},
		{v2 + "/chatrooms", "chat room", state.PresetRoom},
		{v2 + "/service-conversations", "service conversation", state.PresetSystem},
	}
}

// conversationRoutes are those that all kinds have.
func conversationRoutes() []route {
	var all []route
	for _, k := range kinds() {
		one := k.path + "/{id}"
		for _, r := range []route{
			{method: post, path: k.path, does: "Make a " + k.name, need: needOpen, body: "name m:strings unique:boolean attr:object", answer: "object", handle: createConversation},
			{method: get, path: k.path, does: "Look for " + k.name + "s", need: needOpen, query: pageQuery, answer: "results:objects", handle: listConversations},
			{method: put, path: one, does: "Change columns of a " + k.name, need: needOpen, body: "name attr:object", answer: "objectId updatedAt", handle: updateConversation},
			{method: remove, path: one, does: "End a " + k.name + "; its messages go with it", need: needOpen, answer: "nothing", handle: deleteConversation},
			{method: get, path: one + "/messages", does: "Read messages of a " + k.name, need: needKey, query: historyQuery, answer: "messages", handle: listMessages},
			{method: post, path: one + "/blacklists", does: "Keep users out of a " + k.name, need: needMaster, body: idsBody, answer: "nothing", handle: blockMembers},
			{method: remove, path: one + "/blacklists", does: "Let users into a " + k.name + " again", need: needMaster, body: idsBody, answer: "nothing", handle: unblockMembers},
			{method: get, path: one + "/blacklists", does: "List who is kept out of a " + k.name, need: needMaster, query: listQuery, answer: "client_ids:strings next", handle: listBlocked},
		} {
			r.kind = k.kind
			all = append(all, r)
		}
	}
	return all
}

// peopleRoutes are those that conversations and chat rooms have.
func peopleRoutes() []route {
	var all []route
	for _, k := range kinds()[:2] {
		one := k.path + "/{id}"
		for _, r := range []route{
			{method: post, path: one + "/messages", does: "Send a message into a " + k.name, family: familyMessages, body: sendBody, answer: "msg-id timestamp:integer", handle: sendMessage},
			{method: put, path: one + "/messages/{mid}", does: "Change a message", family: familyMessages, body: "from_client! message! timestamp!:integer", answer: "nothing", handle: editMessage},
			{method: put, path: one + "/messages/{mid}/recall", does: "Take a message back", family: familyMessages, body: "from_client! timestamp!:integer", answer: "nothing", handle: recallMessage},
			{method: remove, path: one + "/messages/{mid}", does: "Take a message out of the history, without a word to clients", query: messageQuery, answer: "nothing", handle: deleteMessage},
			{method: post, path: one + "/member-infos", does: "Give a member a role", body: "clientId! role!", answer: "objectId updatedAt", handle: createMemberInfo},
			{method: put, path: one + "/member-infos/{info}", does: "Give a member another role", body: "clientId role!", answer: "objectId updatedAt", handle: updateMemberInfo},
			{method: remove, path: one + "/member-infos/{info}", does: "Take a member's role away", answer: "nothing", handle: deleteMemberInfo},
			{method: get, path: one + "/member-infos", does: "List the members with a role", query: "skip:integer limit:integer role", answer: "results:objects", handle: listMemberInfos},
			{method: post, path: one + "/temporary-silenceds", does: "Keep a user from speaking for some seconds", body: "client_id! ttl!:integer", answer: "nothing", handle: silenceForNow},
			{method: remove, path: one + "/temporary-silenceds", does: "Let the user speak again", query: "client_id!", answer: "nothing", handle: unsilenceForNow},
			{method: post, path: one + "/permanent-silenceds", does: "Keep users from speaking", body: idsBody, answer: "nothing", handle: silence},
			{method: remove, path: one + "/permanent-silenceds", does: "Let users speak again", body: idsBody, answer: "nothing", handle: unsilence},
			{method: get, path: one + "/permanent-silenceds", does: "List who may not speak", query: listQuery, answer: "client_ids:strings next", handle: listSilenced},
		} {
			r.kind, r.need = k.kind, needMaster
			all = append(all, r)
		}
	}
	return all
}

// memberRoutes are those of conversations alone.
func memberRoutes() []route {
	members, mutes := v2+"/conversations/{id}/members", v2+"/conversations/{id}/mutes"
	all := []route{
		{method: post, path: members, does: "Add members", body: idsBody, answer: "objectId updatedAt", handle: addMembers},
		{method: remove, path: members, does: "Remove members", body: idsBody, answer: "objectId updatedAt", handle: removeMembers},
		{method: get, path: members, does: "List the members", answer: "result:strings", handle: listMembers},
		{method: post, path: mutes, does: "Spare members the push notifications", body: idsBody, answer: "objectId updatedAt", handle: mutePushes},
		{method: remove, path: mutes, does: "Send members push notifications again", body: idsBody, answer: "objectId updatedAt", handle: unmutePushes},
		{method: get, path: mutes, does: "List who gets no push notifications", answer: "result:strings", handle: listMutes},
	}
	for i := range all {
		all[i].need, all[i].kind = needOpen, state.PresetBasic
	}
	return all
}

func roomRoutes() []route {
	one := v2 + "/chatrooms/{id}"
	return []route{
		{method: get, path: one + "/members", does: "Name some of those who are in a chat room now", need: needMaster, kind: state.PresetRoom, answer: "result:strings", handle: roomMembers},
		{method: get, path: one + "/members/online-count", does: "Count who is in a chat room now", need: needMaster, kind: state.PresetRoom, answer: "result:integer", handle: roomCount},
	}
}

func serviceRoutes() []route {
	subscribers := v2 + "/service-conversations/{id}/subscribers"
	all := []route{
		{method: post, path: subscribers, does: "Subscribe a user", body: "client_id!", answer: "nothing", handle: subscribe},
		{method: remove, path: subscribers + "/{client}", does: "End a user's subscription", answer: "nothing", handle: unsubscribe},
		{method: get, path: subscribers, does: "List subscribers, by their ids", query: "limit:integer client_id", answer: "subscriptions", handle: listSubscribers},
		{method: get, path: subscribers + "/count", does: "Count subscribers", answer: "count:integer", handle: countSubscribers},
	}
	for i := range all {
		all[i].need, all[i].kind = needMaster, state.PresetSystem
	}
	return all
}

// speakRoutes are what services say.
func speakRoutes() []route {
	one := v2 + "/service-conversations/{id}"
	all := []route{
		{method: post, path: one + "/messages", does: "Send a message of a service to some users", family: familyMessages, body: sendBody + " to_clients!:strings", answer: "msg-id timestamp:integer", handle: sendToUsers},
		{method: post, path: one + "/broadcasts", does: "Send a message to all subscribers of a service", family: familySubscribers, body: "from_client! message! push:object", answer: "msg-id timestamp:integer", handle: sendToSubscribers},
		{method: put, path: one + "/messages/{mid}", does: "Change what a service has said to some users, to subscribers, or to all", family: familySubscribers, body: "from_client! message! timestamp!:integer to_clients:strings", answer: "nothing", handle: changeOfService(false)},
		{method: put, path: one + "/messages/{mid}/recall", does: "Take back what a service has said to some users or to subscribers", family: familySubscribers, body: "from_client! timestamp!:integer to_clients:strings", answer: "nothing", handle: changeOfService(true)},
		{method: get, path: one + "/subscribers/{client}/messages", does: "Read what a user sees of a service", query: historyQuery, answer: "messages", handle: listForUser},
		{method: remove, path: one + "/subscribers/{client}/messages/{mid}", does: "Take a message out of what a user and a service have said to each other, without a word to clients", query: messageQuery, answer: "nothing", handle: deleteForUser},
		{method: post, path: v2 + "/broadcasts", does: "Say something to all users, as a service", family: familyBroadcasts, body: broadcastBody, answer: "msg-id timestamp:integer", handle: sendBroadcast},
		{method: remove, path: v2 + "/broadcasts/{mid}", does: "Take it back from those who have not got it", answer: "nothing", handle: deleteBroadcast},
		{method: get, path: v2 + "/broadcasts", does: "List what a service has said to all users and is still news", query: "conv_id! skip:integer limit:integer", answer: "messages", handle: listBroadcasts},
		{method: post, path: v1 + "/broadcast", does: "Say something to all users, as a service", family: familyBroadcasts, body: "from_peer! conv_id! message! valid_till:integer push:object transient:boolean", answer: "msg-id timestamp:integer", handle: sendBroadcast},
		{method: remove, path: v1 + "/broadcast", does: "Take it back from those who have not got it", query: "mid!", answer: "nothing", handle: deleteBroadcast},
		{method: get, path: v1 + "/broadcast", does: "List what a service has said to all users and is still news", query: "conv_id! skip:integer limit:integer", answer: "messages", handle: listBroadcasts},
		{method: post, path: v1 + "/broadcast/subscriber", does: "Send a message to all subscribers of a service", family: familySubscribers, body: "from_peer! conv_id! message! push:object", answer: "msg-id timestamp:integer", handle: oldToSubscribers},
	}
	for i := range all {
		all[i].need, all[i].kind = needMaster, state.PresetSystem
	}
	return all
}

func clientRoutes() []route {
	clients, one := v2+"/clients", v2+"/clients/{client}"
	return []route{
		{method: post, path: clients + "/check-online", does: "Say who of some users is online", need: needMaster, body: idsBody, answer: "results:strings", handle: checkOnline},
		{method: get, path: clients + "/sign", does: "Sign for the session of the user of a token", need: needKey, query: "session_token!", answer: "signature nonce client_id timestamp:integer", handle: signLogin},
		{method: get, path: one + "/unread-count", does: "Count what a user has not read", need: needKey, query: "conv_id", answer: "count:integer", handle: unreadCount},
		{method: post, path: one + "/kick", does: "End all sessions of a user", need: needMaster, body: "reason", answer: "nothing", handle: kick},
		{method: get, path: one + "/service-conversations", does: "List the service conversations of a user", need: needMaster, query: "conv_id timestamp:integer limit:integer direction", answer: "subscriptions", handle: subscriptionsOf},
		{method: get, path: one + "/messages", does: "Read what a user has sent", need: needMaster, query: historyQuery, answer: "messages", handle: listSentMessages},
		{method: post, path: one + "/blacklists", does: "Have a user not be added to a conversation", need: needMaster, body: "conv_id!", answer: "nothing", handle: blockConversation},
		{method: remove, path: one + "/blacklists", does: "Let a user be added to it again", need: needMaster, body: "conv_id!", answer: "nothing", handle: unblockConversation},
		{method: get, path: one + "/blacklists", does: "List the conversations that a user is not added to", need: needMaster, query: listQuery, answer: "conv_ids:strings next", handle: listBlocks},
	}
}

func appRoutes() []route {
	return []route{
		{method: get, path: v2 + "/all-conversations", does: "Look for conversations of all kinds", need: needOpen, query: pageQuery, answer: "results:objects", handle: listConversations},
		{method: get, path: v2 + "/stats", does: "Count the users who are online", need: needMaster, answer: "result:object", handle: stats},
		{method: get, path: v2 + "/messages", does: "Read the messages of the app", need: needMaster, query: historyQuery, answer: "messages", handle: listAppMessages},
	}
}

// oldRoutes are version 1.1's.
func oldRoutes() []route {
	return []route{
		{method: post, path: v1 + "/sign", does: "Sign for the session of the user of a token", need: needKey, body: "session_token!", answer: "signature nonce client_id timestamp:integer", handle: signLogin},
		{method: get, path: v1 + "/notifications", does: "Tell a client what it was not there for", need: needSession, query: "client_id start_ts:integer notification_type", answer: "notifications:objects hasMore:boolean", handle: notifications},
		{method: get, path: v1 + "/messages/history", does: "Read messages of a conversation, of a sender, or of the app", need: needKey, query: "convid from peerid max_ts:integer " + historyQuery, answer: "messages", handle: oldHistory},
		{method: remove, path: v1 + "/messages/logs", does: "Take a message out of the history, without a word to clients", need: needMaster, query: "convid! msgid! timestamp!:integer from!", answer: "nothing", handle: oldDelete},
		{method: put, path: v1 + "/messages/logs", does: "Replace what a message says in the history, without a word to clients", need: needMaster, body: "conv-id! msg-id! timestamp!:integer from! data! bin:boolean", answer: "nothing", handle: oldReplace},
		{method: post, path: v1 + "/patch/message", does: "Change a message, or take it back", need: needMaster, family: familyMessages, body: "conv_id! msg_id! timestamp!:integer from_peer! message recall:boolean to_peers:strings", answer: "nothing", handle: oldPatch},
		{method: post, path: v1 + "/messages", does: "Send a message", need: needMaster, family: familyMessages, body: "from_peer! conv_id! message! transient:boolean no_sync:boolean push_data priority to_peers:strings", answer: "msg-id timestamp:integer", handle: oldSend},
		{method: get, path: v1 + "/messages/unread/{client}", does: "Count what a user has not read", need: needKey, answer: "count:integer", handle: oldUnread},
		{method: get, path: v1 + "/messages/unread/{client}/{id}", does: "Count what a user has not read of a conversation", need: needKey, answer: "count:integer", handle: oldUnread},
		{method: get, path: v1 + "/transient_group/onlines", does: "Count who is in a chat room now", need: needKey, query: "gid!", answer: "result:integer", handle: oldRoomCount},
		{method: get, path: v1 + "/transient_group/members", does: "Name some of those who are in a chat room now", need: needKey, query: "gid!", answer: "result:strings", handle: oldRoomMembers},
		{method: post, path: v1 + "/online", does: "Say who of some users is online", need: needMaster, body: "peers!:strings", answer: "results:strings", handle: oldOnline},
		{method: post, path: v1 + "/conversation/blacklist", does: "Keep a user from speaking for some seconds", need: needMaster, body: "conv_id! client_id! ttl!:integer", answer: "nothing", handle: oldSilence},
		{method: remove, path: v1 + "/conversation/blacklist", does: "Let the user speak again", need: needMaster, body: "conv_id! client_id!", answer: "nothing", handle: oldUnsilence},
		{method: post, path: v1 + "/client/kick", does: "End all sessions of a user", need: needMaster, body: "client_id! reason", answer: "nothing", handle: oldKick},
	}
}

func oldServiceRoutes() []route {
	return []route{
		{method: post, path: v1 + "/conversation/subscription", does: "Subscribe a user", need: needMaster, body: "conv_id! client_id!", answer: "nothing", handle: oldSubscribe},
		{method: remove, path: v1 + "/conversation/subscription", does: "End a user's subscription", need: needMaster, body: "conv_id! client_id!", answer: "nothing", handle: oldUnsubscribe},
		{method: get, path: v1 + "/conversation/subscription", does: "List the service conversations of a user", need: needMaster, query: "client_id! conv_id timestamp:integer limit:integer direction", answer: "subscriptions", handle: oldSubscriptions},
		{method: get, path: v1 + "/conversation/subscribers", does: "List subscribers, by their ids", need: needMaster, query: "conv_id! limit:integer client_id", answer: "subscriptions", handle: oldSubscribers},
		{method: get, path: v1 + "/conversation/subscribers/count", does: "Count subscribers", need: needMaster, query: "conv_id!", answer: "count:integer", handle: oldSubscriberCount},
		{method: get, path: v1 + "/conversation/subscribed", does: "Say whether a user is subscribed", need: needMaster, query: "conv_id! client_id!", answer: "boolean", handle: oldSubscribed},
	}
}

func classRoutes() []route {
	class := "/1.1/classes/_Conversation"
	return []route{
		{method: get, path: "/1.1/classes/_ConversationMemberInfo", does: "List the roles in a conversation, for one of its members", need: needSession, query: "client_id where cid skip:integer limit:integer", answer: "results:objects", handle: sessionMemberInfos},
		{method: post, path: class, does: "Make a conversation of any kind", need: needOpen, body: "name m:strings unique:boolean attr:object c tr:boolean sys:boolean", answer: "objectId createdAt", created: true, handle: createObject},
		{method: get, path: class, does: "Look for conversations of all kinds", need: needOpen, query: pageQuery, answer: "results:objects", handle: listObjects},
		{method: get, path: class + "/{id}", does: "Read a conversation", need: needOpen, answer: "object", handle: getObject},
		{method: put, path: class + "/{id}", does: "Change columns, and members by operations", need: needOpen, body: "name attr:object m:object mu:object", answer: "objectId updatedAt", handle: updateObject},
		{method: remove, path: class + "/{id}", does: "End a conversation; its messages go with it", need: needOpen, answer: "nothing", handle: deleteConversation},
	}
}

func documentRoutes() []route {
	return []route{{method: get, path: "/1.2/openapi.json", does: "Describe all this", need: needNothing, answer: "document", handle: describe}}
}
