package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

// Sign in, create a conversation, send a message and read it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	tom, err := client.Dial(ctx, client.Options{
		Servers: []string{"ws://127.0.0.1:7400", "ws://127.0.0.1:7410"},
		App:     "the id that quorate dev prints",
		Key:     "the key that quorate dev prints",
		User:    "tom",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tom.Close()

	info, err := tom.Create(ctx, client.NewConversation{Name: "tea", Members: []wire.UserID{"jerry", "mary"}})
	if err != nil {
		log.Fatal(err)
	}
	tea := tom.Conversation(info.ID)
	sent, err := tea.Send(ctx, client.Text("anyone for tea?"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sequence", sent.Seq)

	page, err := tea.History(ctx, client.Range{Limit: 10})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range page.Messages {
		fmt.Printf("%s: %s\n", m.From, m.Body)
	}
}

// Follow a conversation. When the node dies, the client goes on at another, and
// the subscription where it was.
func ExampleConversation_Subscribe() {
	ctx := context.Background()
	var tom *client.Client // from Dial

	tea, err := tom.Conversation("66f0c0de0000a1b2c3d4e5f6").Subscribe(ctx, client.FromEnd)
	if err != nil {
		log.Fatal(err)
	}
	defer tea.Close()
	for entry, err := range tea.Entries(ctx) {
		switch {
		case errors.Is(err, client.ErrRemoved):
			fmt.Println("no longer a member")
		case errors.Is(err, client.ErrStartOver):
			fmt.Println("read the history, and subscribe anew")
		case err != nil:
			log.Fatal(err)
		case entry.Kind == client.EntryMessage:
			fmt.Printf("%s: %s\n", entry.Actor, entry.Message.Body)
		}
	}
}

// Send many messages without waiting for each answer.
func ExampleConversation_SendAsync() {
	ctx := context.Background()
	var tom *client.Client // from Dial

	tea := tom.Conversation("66f0c0de0000a1b2c3d4e5f6")
	for i := range 10_000 {
		tea.SendAsync(ctx, client.Text(fmt.Sprint(i)), func(sent client.Sent, err error) {
			if err != nil {
				log.Print(err)
			}
		})
	}
	if err := tom.Flush(ctx); err != nil {
		log.Fatal(err)
	}
}

// An app's server lets a user in without giving away the key.
func ExampleSignToken() {
	token, err := client.SignToken("the app's id", "tom", "the app's key", time.Now(), time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(token) > 0)
	// Output: true
}

// Errors have a code, which says what to do.
func Example_errors() {
	var err error // of any call
	switch wire.CodeOf(err) {
	case wire.CodeNotMember:
		fmt.Println("join first")
	case wire.CodeTooOld:
		fmt.Println("it is not known whether it was done: look before doing it again")
	default:
		fmt.Println(err)
	}
}
