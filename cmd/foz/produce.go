package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
)

// produceSettings are the flags of `foz produce`.
type produceSettings struct {
	topic      string
	key        string
	hasKey     bool
	partition  int32
	headers    []string
	envelope   bool
	batchBytes byteCount
	linger     span
	idempotent bool
	quiet      bool
}

func (a *app) produceCommand() *cobra.Command {
	s := produceSettings{batchBytes: 4 << 20, linger: span(5 * time.Millisecond)}
	cmd := &cobra.Command{
		Use:   "produce TOPIC [FILE|-]",
		Short: "Append the lines of a file, or of stdin, as records",
		Long: "Append the lines of a file, or of stdin, as records: each line is a value, or with\n" +
			"--envelope a record object as `foz consume` prints it. Empty lines are skipped.\n" +
			"A request holds many lines and is appended whole or not at all; it is sent when\n" +
			"it is full or the input pauses. Where the records went is printed at the end.",
		Example: "  seq 1 1000 | foz produce numbers -k integers\n" +
			"  foz consume flights | foz produce copy --envelope",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.topic, s.hasKey = args[0], cmd.Flags().Changed("key")
			input, size, err := a.input(cmd.Context(), append(args, "-")[1])
			if err != nil {
				return err
			}
			defer input.Close()
			return a.produce(cmd.Context(), s, input, size)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&s.key, "key", "k", "", "give every record this key")
	f.Int32VarP(&s.partition, "partition", "p", client.AnyPartition,
		"the partition (-1: by key, or one that sticks)")
	f.StringArrayVarP(&s.headers, "header", "H", nil, "give every record a header, NAME=VALUE")
	f.BoolVar(&s.envelope, "envelope", false, "each line is a record object, not a value")
	f.Var(&s.batchBytes, "batch-bytes", "send a request when it holds so much")
	f.Var(&s.linger, "linger", "... or when the input has paused for so long")
	f.BoolVar(&s.idempotent, "idempotent", true, "send again safely: store each record once")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "print nothing but errors")
	return cmd
}

// input opens what to produce, and its size if that is known (else -1).
func (a *app) input(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(a.in), -1, nil
	}
	file, err := openPatiently(ctx, name, os.O_RDONLY)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	if !info.Mode().IsRegular() {
		return file, -1, nil
	}
	return file, info.Size(), nil
}

// produced is a produce command under way: what is acknowledged.
type produced struct {
	a        *app
	s        produceSettings
	wrap     *wrapper // nil: lines go as they are
	send     func(context.Context, client.Body, client.ProduceOptions) (client.Ack, error)
	options  client.ProduceOptions
	bar      *progressbar.ProgressBar // nil: none
	lines    int64                    // of the input, acknowledged
	records  int64
	ranges   map[int32]*producedRange
	duration time.Duration
}

func (a *app) produce(ctx context.Context, s produceSettings, input io.Reader, size int64) error {
	p, err := a.newProduced(s, size)
	if err != nil {
		return err
	}
	if err := a.seek(ctx, s.topic); err != nil {
		return err
	}
	begin := time.Now()
	err = p.run(ctx, input)
	p.duration = time.Since(begin)
	if p.bar != nil {
		p.bar.Exit()
	}
	if err != nil && p.lines > 0 {
		err = fmt.Errorf("%s acknowledged; then %w", counted(p.lines, "line"), err)
	}
	return errors.Join(err, p.report())
}

func (a *app) newProduced(s produceSettings, size int64) (*produced, error) {
	switch {
	case s.partition < client.AnyPartition:
		return nil, usagef("-p %d: want a partition, or -1 for any", s.partition)
	case s.batchBytes < 1:
		return nil, usagef("--batch-bytes %s: a request holds at least one line", s.batchBytes)
	}
	c, err := a.clientOf(attemptsPatient)
	if err != nil {
		return nil, err
	}
	p := &produced{a: a, s: s, ranges: map[int32]*producedRange{}}
	if s.hasKey || len(s.headers) > 0 {
		if s.envelope {
			return nil, usagef("-k and -H make records of lines; with --envelope they are records")
		}
		if p.wrap, err = newWrapper(s); err != nil {
			return nil, err
		}
	}
	if s.partition != client.AnyPartition {
		p.options.Partition = &s.partition
	}
	p.send = func(ctx context.Context, b client.Body, o client.ProduceOptions) (client.Ack, error) {
		return c.ProduceBody(ctx, s.topic, b, o)
	}
	if s.idempotent {
		p.send = c.NewProducer(s.topic, "", 0).ProduceBody
	}
	if size >= 0 && a.talkTerminal && !s.quiet {
		p.bar = newBar(a, size)
	}
	return p, nil
}

// seek finds out at once that there is no such topic, or no service.
func (a *app) seek(ctx context.Context, topic string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	_, err = c.Topic(ctx, topic)
	return err
}

func newBar(a *app, size int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(size, progressbar.OptionSetWriter(a.talk),
		progressbar.OptionSetDescription("produce"), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░"}))
}

// run sends batch after batch: one request at a time, so that records keep the order of
// their lines. An interrupt ends the input; the request under way is seen through.
func (p *produced) run(ctx context.Context, input io.Reader) error {
	batches := readBatches(ctx, input, int(p.s.batchBytes), time.Duration(p.s.linger))
	for b, err := range batches {
		if err != nil {
			return err
		}
		if err := p.batch(context.WithoutCancel(ctx), b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (p *produced) batch(ctx context.Context, b batch) error {
	body := client.Body{ContentType: "application/x-ndjson", Envelope: p.s.envelope, Data: b.data}
	if p.wrap != nil {
		body.Envelope, body.Data = true, p.wrap.lines(b.data)
	}
	if b.lines > 0 && !b.blank {
		ack, err := p.send(ctx, body, p.options)
		if err != nil {
			return p.locate(err)
		}
		p.note(ack)
	}
	p.lines += b.lines
	if p.bar != nil {
		p.bar.Add(len(b.data))
	}
	return nil
}

// locate makes pointers of a refusal ("/<line, from 0>/...") name lines of the input, from 1.
func (p *produced) locate(err error) error {
	e, ok := errors.AsType[*foz.Error](err)
	if !ok || len(e.Invalid) == 0 {
		return err
	}
	for i, invalid := range e.Invalid {
		number, rest, _ := strings.Cut(strings.TrimPrefix(invalid.Pointer, "/"), "/")
		n, bad := strconv.ParseInt(number, 10, 64)
		if bad != nil {
			continue
		}
		e.Invalid[i].Pointer = "line " + itoa(p.lines+n+1)
		if rest != "" {
			e.Invalid[i].Pointer += ", /" + rest
		}
	}
	return err
}
