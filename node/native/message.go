package native

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

func checkContent(op, conversation string, body []byte, contentType string) error {
	if err := checkConversation(op, conversation); err != nil {
		return err
	}
	if len(body) > wire.MaxBodyBytes {
		return wire.Errorf(wire.CodeLimit, op, "body has %d bytes, want at most %d", len(body), wire.MaxBodyBytes)
	}
	return checkText(op, "content type", contentType, maxContentTypeBytes)
}

func sendMessage(op string, r *pb.SendMessage) (state.Command, error) {
	if err := checkContent(op, r.GetConversation(), r.GetBody(), r.GetContentType()); err != nil {
		return nil, err
	}
	mentions, err := userIDs(op, r.GetMentions(), maxMentions)
	if err != nil {
		return nil, err
	}
	targets, err := userIDs(op, r.GetTargets(), wire.MaxTargets)
	if err != nil {
		return nil, err
	}
	return &state.SendMessage{
		Conversation: wire.ConversationID(r.GetConversation()), Body: r.GetBody(), ContentType: r.GetContentType(),
		Mentions: mentions, MentionAll: r.GetMentionAll(), Targets: targets,
	}, nil
}

func editMessage(op string, r *pb.EditMessage) (state.Command, error) {
	if err := checkContent(op, r.GetConversation(), r.GetBody(), r.GetContentType()); err != nil {
		return nil, err
	}
	if err := checkMessageID(op, r.GetId()); err != nil {
		return nil, err
	}
	mentions, err := userIDs(op, r.GetMentions(), maxMentions)
	if err != nil {
		return nil, err
	}
	return &state.EditMessage{
		Conversation: wire.ConversationID(r.GetConversation()), ID: wire.MessageID(r.GetId()), Body: r.GetBody(),
		ContentType: r.GetContentType(), Mentions: mentions, MentionAll: r.GetMentionAll(),
	}, nil
}

func recallMessage(op string, r *pb.RecallMessage) (state.Command, error) {
	if err := checkConversation(op, r.GetConversation()); err != nil {
		return nil, err
	}
	if err := checkMessageID(op, r.GetId()); err != nil {
		return nil, err
	}
	return &state.RecallMessage{Conversation: wire.ConversationID(r.GetConversation()), ID: wire.MessageID(r.GetId())}, nil
}

func checkMessageID(op, id string) error {
	if err := wire.ValidID(id); err != nil {
		return wire.Errorf(wire.CodeInvalid, op, "message id %v", err)
	}
	return nil
}

// Transient turns a request to send a transient message into the message that
// edges are told. It gets no sequence, no id and no place in the log.
func Transient(a Asker, r *pb.SendMessage, nowMillis int64) (*state.Message, error) {
	const op = "message.send"
	if err := checkContent(op, r.GetConversation(), r.GetBody(), r.GetContentType()); err != nil {
		return nil, err
	}
	if len(r.GetTargets())+len(r.GetMentions()) > 0 || r.GetMentionAll() {
		return nil, wire.Errorf(wire.CodeInvalid, op, "a transient message has neither targets nor mentions")
	}
	return &state.Message{From: a.User, Timestamp: nowMillis, Body: r.GetBody(), ContentType: r.GetContentType()}, nil
}

// Answer turns the result of a request that was one command into its response.
func Answer(op string, req *pb.Request, r state.Result) *pb.Response {
	resp := &pb.Response{Id: req.GetId()}
	if r.Refusal != state.None {
		refused := Refused(op, r.Refusal, r.Text)
		resp.Result = &pb.Response_Error{Error: &pb.Error{Code: uint32(refused.Code), Op: op, Text: refused.Text}}
		return resp
	}
	switch asked := req.GetOp().(type) {
	case *pb.Request_SendMessage:
		resp.Result = &pb.Response_Sent{Sent: &pb.Sent{
			Id: string(r.MessageID), Seq: uint64(r.Seq), Offset: uint64(r.Offset), TimestampMillis: r.Timestamp,
		}}
	case *pb.Request_CreateConversation:
		resp.Result = &pb.Response_Conversation{Conversation: created(asked.CreateConversation, r)}
	default:
		done := &pb.Done{Offset: uint64(r.Offset)}
		for _, u := range r.Users {
			refused := Refused(op, u.Refusal, "")
			done.Skipped = append(done.Skipped, &pb.Skipped{
				Subject: string(u.User), Error: &pb.Error{Code: uint32(refused.Code), Op: op, Text: refused.Text},
			})
		}
		resp.Result = &pb.Response_Done{Done: done}
	}
	return resp
}

func created(asked *pb.CreateConversation, r state.Result) *pb.Conversation {
	return &pb.Conversation{
		Id: string(r.Conversation), Name: asked.GetName(), Kind: asked.GetKind(), CreatedMillis: r.Timestamp,
		UpdatedMillis: r.Timestamp, LastOffset: uint64(r.Offset), LastSeq: uint64(r.Seq), Existed: r.Existed, Unique: asked.GetUnique(),
	}
}
