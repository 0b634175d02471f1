// Command exactly-once copies lines by franz-go, as one member of a group: a transaction holds what was read and the
// offsets up to which it was.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	for {
		err := run(context.Background(), os.Args[1])
		fmt.Fprintln(os.Stderr, err)
		// A session soon gives up on a broker that is down, and is not to be used any more. What a broker answers
		// must not end one.
		if answer, ok := errors.AsType[*kerr.Error](err); ok && !answer.Retriable {
			os.Exit(1)
		}
	}
}

func run(ctx context.Context, member string) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(os.Getenv("BOOTSTRAP"), ",")...),
		kgo.TransactionalID("franz-go-"+member),
		kgo.ConsumerGroup("franz-go"),
		kgo.ConsumeTopics("lines"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
		kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(1500*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, nil)),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	// Ends what a former life left open. Otherwise nobody is told its offsets, before its time is up.
	if _, _, err := session.Client().ProducerID(ctx); err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	for {
		if err := copySome(ctx, session); err != nil {
			return err
		}
	}
}

// copySome copies what is there in one transaction. One that is aborted is read again by whoever has its partitions then.
func copySome(ctx context.Context, session *kgo.GroupTransactSession) error {
	fetches := session.PollFetches(ctx)
	fetches.EachError(func(topic string, partition int32, err error) {
		fmt.Fprintf(os.Stderr, "fetch %s-%d: %v\n", topic, partition, err)
	})
	if fetches.Empty() {
		return nil
	}
	if err := session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	promise := kgo.AbortingFirstErrPromise(session.Client())
	fetches.EachRecord(func(line *kgo.Record) {
		copied := &kgo.Record{Topic: "franz-go", Partition: line.Partition, Key: line.Key, Value: line.Value}
		session.Produce(ctx, copied, promise.Promise())
	})
	committed, err := session.End(ctx, kgo.TransactionEndTry(promise.Err() == nil))
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	if !committed {
		fmt.Fprintln(os.Stderr, "aborted:", promise.Err())
	}
	return nil
}
