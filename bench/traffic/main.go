// Command traffic produces records by the clock, consumes them, and says how long anything took.
//
//	traffic BOOTSTRAP TOPIC PARTITIONS RECORDS_PER_SECOND
//
// It answers commands on its standard input, one line each: "begin" forgets what was measured so
// far; "settle" waits until all that was sent before it has arrived; "report" gives the figures since
// "begin"; "end" stops producing, settles, and gives the last word. Times count from when a record was due: a producer that was held up is no
// excuse.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	valueBytes = 1024
	// How long is waited for records that are on their way.
	patience = 30 * time.Second
	// Between two looks at them.
	pause = time.Millisecond
)

// fate is what the broker said of a record.
type fate uint8

const (
	waiting fate = iota
	acknowledged
	refused
)

// tally is what became of the records, each known by its number.
type tally struct {
	sync.Mutex
	due      []time.Time
	fates    []fate
	received []uint8
	failed   int
	lastErr  error
	// Since "begin".
	produceMax time.Duration
	endToEnd   []time.Duration
	// The first record whose answer is still to come, for one that waits longer than all others.
	oldest int
}

func (t *tally) send(due time.Time) int {
	t.Lock()
	defer t.Unlock()
	t.due = append(t.due, due)
	t.fates = append(t.fates, waiting)
	t.received = append(t.received, 0)
	return len(t.due) - 1
}

func (t *tally) answer(number int, err error) {
	t.Lock()
	defer t.Unlock()
	t.produceMax = max(t.produceMax, time.Since(t.due[number]))
	t.fates[number] = acknowledged
	if err != nil {
		t.fates[number] = refused
		t.failed++
		t.lastErr = err
	}
}

func (t *tally) receive(number int) {
	t.Lock()
	defer t.Unlock()
	if t.received[number] == 0 {
		t.endToEnd = append(t.endToEnd, time.Since(t.due[number]))
	}
	t.received[number]++
}

func (t *tally) begin() {
	t.Lock()
	defer t.Unlock()
	t.produceMax = 0
	t.endToEnd = nil
	for t.oldest < len(t.due) && t.fates[t.oldest] != waiting {
		t.oldest++
	}
}

func (t *tally) report() string {
	t.Lock()
	defer t.Unlock()
	longest := t.produceMax
	for number := t.oldest; number < len(t.due); number++ {
		if t.fates[number] == waiting {
			longest = max(longest, time.Since(t.due[number]))
			break
		}
	}
	slices.Sort(t.endToEnd)
	quantile := func(q float64) time.Duration {
		if len(t.endToEnd) == 0 {
			return 0
		}
		return t.endToEnd[min(int(q*float64(len(t.endToEnd))), len(t.endToEnd)-1)]
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	return fmt.Sprintf("received=%d produce_max_ms=%.3f p50_ms=%.3f p99_ms=%.3f max_ms=%.3f",
		len(t.endToEnd), ms(longest), ms(quantile(0.5)), ms(quantile(0.99)), ms(quantile(1)))
}

// settle waits until each record sent so far was refused, or acknowledged and received.
func (t *tally) settle() bool {
	t.Lock()
	next, sent := 0, len(t.due)
	t.Unlock()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		t.Lock()
		for next < sent && (t.fates[next] == refused || t.fates[next] == acknowledged && t.received[next] > 0) {
			next++
		}
		t.Unlock()
		if next == sent {
			return true
		}
	}
	return false
}

// missing counts the acknowledged records that nobody has received.
func (t *tally) missing() int {
	t.Lock()
	defer t.Unlock()
	count := 0
	for number, fate := range t.fates {
		if fate == acknowledged && t.received[number] == 0 {
			count++
		}
	}
	return count
}

func (t *tally) lastWord() string {
	lost := t.missing()
	t.Lock()
	defer t.Unlock()
	twice := 0
	for _, received := range t.received {
		if received > 1 {
			twice++
		}
	}
	if t.lastErr != nil {
		fmt.Fprintln(os.Stderr, "a record failed:", t.lastErr)
	}
	return fmt.Sprintf("sent=%d failed=%d lost=%d twice=%d", len(t.due), t.failed, lost, twice)
}

func produce(ctx context.Context, client *kgo.Client, t *tally, topic string, partitions, rate int) {
	began := time.Now()
	for sent := 0; ctx.Err() == nil; sent++ {
		due := began.Add(time.Duration(sent) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		number := t.send(due)
		value := make([]byte, valueBytes)
		binary.BigEndian.PutUint64(value, uint64(number))
		record := &kgo.Record{Topic: topic, Partition: int32(number % partitions), Value: value}
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) { t.answer(number, err) })
	}
}

func consume(client *kgo.Client, t *tally) {
	for {
		fetches := client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachRecord(func(record *kgo.Record) {
			// A probe's records are shorter.
			if len(record.Value) == valueBytes {
				t.receive(int(binary.BigEndian.Uint64(record.Value)))
			}
		})
	}
}

func connect(bootstrap string, options ...kgo.Opt) *kgo.Client {
	// The default of five seconds would hide how soon a broker has recovered.
	common := []kgo.Opt{kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.MetadataMinAge(50 * time.Millisecond)}
	client, err := kgo.NewClient(append(common, options...)...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return client
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: traffic BOOTSTRAP TOPIC PARTITIONS RECORDS_PER_SECOND")
		os.Exit(2)
	}
	bootstrap, topic := os.Args[1], os.Args[2]
	partitions, errPartitions := strconv.Atoi(os.Args[3])
	rate, errRate := strconv.Atoi(os.Args[4])
	if errPartitions != nil || errRate != nil || partitions < 1 || rate < 1 {
		fmt.Fprintln(os.Stderr, "PARTITIONS and RECORDS_PER_SECOND are counts")
		os.Exit(2)
	}
	offsets := map[int32]kgo.Offset{}
	for partition := range partitions {
		offsets[int32(partition)] = kgo.NewOffset().AtStart()
	}
	// Two clients, as two programs would be: neither waits behind the other's requests.
	consumer := connect(bootstrap, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	// The clock goes on while nobody answers.
	producer := connect(bootstrap, kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1<<20),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	t := &tally{}
	ctx, stop := context.WithCancel(context.Background())
	produced := make(chan struct{})
	go func() { produce(ctx, producer, t, topic, partitions, rate); close(produced) }()
	go consume(consumer, t)
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		switch commands.Text() {
		case "begin":
			t.begin()
		case "settle":
			fmt.Printf("settled=%t\n", t.settle())
		case "report":
			fmt.Println(t.report())
		case "end":
			stop()
			<-produced
			flushing, cancel := context.WithTimeout(context.Background(), patience)
			_ = producer.Flush(flushing)
			cancel()
			t.settle()
			fmt.Println(t.lastWord())
			return
		}
	}
}
