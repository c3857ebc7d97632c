package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/fozlog/foz/client"
	check "github.com/fozlog/foz/verify" // cmd has a function of that name
)

// hammerSettings are the flags of `foz hammer`.
type hammerSettings struct {
	duration       span
	requests       int
	writers, tails int
	partitions     int32
	pause          span
	keep           bool
}

func (a *app) hammerCommand() *cobra.Command {
	s := hammerSettings{duration: span(time.Minute), pause: span(5 * time.Millisecond)}
	cmd := &cobra.Command{
		Use:   "hammer",
		Short: "Writers and readers that verify what they read; exit 1 if a promise is broken",
		Long: "Write to a topic of its own, follow it in every way there is, and at the end read\n" +
			"it all in every format and compare it with what was acknowledged, record by record:\n" +
			"nothing lost, doubled, reordered, torn or made up. Kill nodes, cut networks and merge\n" +
			"meanwhile.",
		Example: "  foz hammer --for 5m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.duration <= 0 || s.writers < 1 || s.partitions < 1 || s.tails < 0 || s.requests < 0 ||
				s.pause < 0 {
				return usagef("times and numbers are positive")
			}
			return a.hammer(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.Var(&s.duration, "for", "how long to write")
	f.IntVar(&s.requests, "requests", 0, "enough when so many are acknowledged (0: until --for)")
	f.IntVar(&s.writers, "writers", 8, "writers, one request under way each")
	f.IntVar(&s.tails, "tails", 6, "followers: of the topic, by polls, by events, in turn")
	f.Int32Var(&s.partitions, "partitions", 8, "of the topic")
	f.Var(&s.pause, "pause", "of a writer between two requests, about")
	f.BoolVar(&s.keep, "keep", false, "leave the topic there")
	return cmd
}

// hammerPoll is how often it is looked at how far it is.
const hammerPoll = 200 * time.Millisecond

func (a *app) hammer(ctx context.Context, s hammerSettings) (err error) {
	o, err := a.clientOptions()
	if err != nil {
		return err
	}
	c, err := client.New(o)
	if err != nil {
		return &usageError{err: err}
	}
	transport := &http.Transport{TLSClientConfig: o.TLS, MaxIdleConnsPerHost: s.writers + s.tails}
	defer transport.CloseIdleConnections()
	run := &check.Run{
		Service: &check.Service{URL: func() string { return strings.TrimSuffix(o.URL, "/") },
			Topic:  "hammer-" + ulid.MustNew(ulid.Now(), rand.Reader).String(),
			Client: &http.Client{Transport: bearer{transport, o.Token}}},
		Shape:   check.Shape{Partitions: s.partitions, Pause: time.Duration(s.pause)},
		Writers: s.writers, Tails: s.tails,
	}
	if err := run.Prepare(ctx); err != nil {
		return err
	}
	if !s.keep {
		defer func() {
			err = orLater(err, c.DeleteTopic(context.WithoutCancel(ctx), run.Service.Topic))
		}()
	}
	load, stop := context.WithTimeout(ctx, time.Duration(s.duration))
	defer stop()
	var watch sync.WaitGroup
	watch.Go(func() { a.watchHammer(load, stop, run, s.requests) })
	report, err := run.Load(ctx, load)
	watch.Wait()
	a.progress("")
	if err != nil {
		return err
	}
	return a.showHammer(report)
}

// watchHammer tells how far it is, and ends the load when it is enough.
func (a *app) watchHammer(load context.Context, stop func(), run *check.Run, enough int) {
	for began := time.Now(); load.Err() == nil; time.Sleep(hammerPoll) {
		a.progress(fmt.Sprintf("%s acknowledged, %s", counted(run.Acked(), "request"),
			time.Since(began).Round(time.Second)))
		if enough > 0 && run.Acked() >= enough {
			stop()
		}
	}
	a.progress("reading it all back")
}

func (a *app) showHammer(r *check.Report) error {
	if a.output == "table" {
		if _, err := fmt.Fprintln(a.out, strings.TrimSuffix(r.String(), "\n")); err != nil {
			return err
		}
	} else if err := a.show(r, nil); err != nil {
		return err
	}
	switch {
	case !r.OK():
		return fmt.Errorf("%s of broken promises", counted(len(r.Counts), "kind"))
	case r.Acked == 0:
		return fmt.Errorf("nothing was acknowledged: there is nothing to verify")
	}
	return nil
}

// bearer shows a token with every request, if there is one.
type bearer struct {
	http.RoundTripper
	token client.Secret
}

// RoundTrip is http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(b.token))
	}
	return b.RoundTripper.RoundTrip(r)
}
