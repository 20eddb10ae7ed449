package client_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"os"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// Connect over QUIC to nodes whose certificates come from the cluster's own
// authority, with a token that the app's server has made.
func ExampleDial_quic() {
	authority, err := os.ReadFile("ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)

	tom, err := client.Dial(context.Background(), client.Options{
		Servers: []string{"quic://chat-1.example.com:7400", "quic://chat-2.example.com:7400"},
		App:     "the app's id",
		TLS:     transport.ClientTLS(pool),
		TokenFunc: func(context.Context) (string, error) {
			return "what the app's server says", nil
		},
		Handlers: client.Handlers{
			Connected:    func(node wire.NodeID) { log.Print("on ", node) },
			Disconnected: func(err error) { log.Print("going on elsewhere: ", err) },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tom.Close()
	fmt.Println("signed in as", tom.User())
}

// Follow every conversation that the user is in, and those he joins: the user's
// own log says which.
func ExampleClient_Subscribe() {
	ctx := context.Background()
	var tom *client.Client // from Dial
	follow := func(id wire.ConversationID, after wire.Offset) {
		// Subscribe to the conversation in a goroutine of its own.
	}

	own, err := tom.Subscribe(ctx, client.FromEnd) // first, so that nothing falls in between
	if err != nil {
		log.Fatal(err)
	}
	defer own.Close()
	for after := ""; ; {
		page, next, err := tom.Conversations(ctx, after, 100)
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range page {
			follow(m.Conversation, client.FromEnd)
		}
		if after = next; next == "" {
			break
		}
	}
	for entry, err := range own.Entries(ctx) {
		switch {
		case err != nil:
			log.Fatal(err)
		case entry.Kind == client.EntryJoined:
			follow(entry.Conversation, entry.At) // from the join on
		case entry.Kind == client.EntryLeft:
			fmt.Println("left", entry.Conversation) // its subscription ends by itself
		}
	}
}

// Show what is unread, and mark it read.
func ExampleClient_Unread() {
	ctx := context.Background()
	var tom *client.Client // from Dial

	unread, err := tom.Unread(ctx, "66f0c0de0000a1b2c3d4e5f6")
	if err != nil {
		log.Fatal(err)
	}
	for _, u := range unread {
		if u.Err != nil {
			log.Print(u.Conversation, ": ", u.Err)
			continue
		}
		fmt.Println(u.Conversation, u.Count, "unread, mentioned:", u.Mentioned)
		// MarkRead waits until it is stored; Mark does not, for marking as one shows.
		if err := tom.Conversation(u.Conversation).MarkRead(ctx, u.Last); err != nil {
			log.Fatal(err)
		}
	}
}
