package infra

// How: with FOZ_S3 (see policies_test.go), four nodes of the real binary have one role each, and
// no other credentials than that role's policy allows. Records go in at one and out at another,
// and no node is refused anything: the policies are not too narrow, either.

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fozlog/foz/verify/loopback"
)

func TestNodesOnMinIO(t *testing.T) {
	if os.Getenv("FOZ_S3") == "" {
		t.Skip("FOZ_S3 is not set: no MinIO server to run nodes on")
	}
	u, err := url.Parse(os.Getenv("FOZ_S3"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/nodes-" + rand.Text()
	root := openS3(t, u)
	t.Cleanup(func() { empty(t, root) })
	binary := filepath.Join(t.TempDir(), "foz")
	out, err := exec.Command("go", "build", "-o", binary, "../cmd/foz").CombinedOutput()
	if err != nil {
		t.Fatalf("build foz: %v\n%s", err, out)
	}

	roles := []string{"metadata", "ingest", "reader", "compactor"}
	var routes []string
	for range roles {
		routes = append(routes, "nats://"+loopback.Address(t))
	}
	base := map[string]string{} // URL by role
	for i, role := range roles {
		http := loopback.Address(t)
		base[role] = "http://" + http
		t.Run("start "+role, func(started *testing.T) {
			assume(started, u, role) // until this subtest ends: the node has read it by then
			startNode(t, binary, "serve", "--bucket", u.String(), "--roles", role, "--http", http,
				"--flush-interval", "5ms", "--bus-routes", strings.Join(routes, ","),
				"--bus-cluster", strings.TrimPrefix(routes[i], "nats://"))
		})
	}
	for _, role := range roles {
		eventually(t, role+" is ready", func() bool {
			return ask(t, "GET", base[role]+"/readyz", "") == 200
		})
	}

	topic := "/v1/topics/rivers"
	eventually(t, "the topic is made", func() bool {
		return ask(t, "PUT", base["metadata"]+topic, `{"partitions":1}`) < 300
	})
	eventually(t, "ingest has heard of it", func() bool {
		return ask(t, "POST", base["ingest"]+topic+"/records", "Douro\nTejo\n") == 200
	})
	var read struct{ Records []struct{ Value string } }
	eventually(t, "the reader has them", func() bool { // its replica may lag: it did not ack
		get(t, base["reader"]+topic+"/partitions/0/records?offset=0", &read)
		return len(read.Records) > 0
	})
	if len(read.Records) != 2 || read.Records[1].Value != "Tejo" {
		t.Fatalf("the reader has %+v", read)
	}
}

// startNode runs foz until the test ends, and then it must end well.
func startNode(t *testing.T, binary string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		overdue := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer overdue.Stop()
		if err := cmd.Wait(); err != nil || strings.Contains(said.String(), "AccessDenied") {
			t.Errorf("foz %s: %v\n%s", strings.Join(args, " "), err, said.String())
		}
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("it never comes true that %s", what)
		}
	}
}

// ask gives the status of an answer, 0 for none.
func ask(t *testing.T, method, where, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, where, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if method == "PUT" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func get(t *testing.T, where string, into any) {
	t.Helper()
	resp, err := http.Get(where)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("get %s: %s %s (%v)", where, resp.Status, text, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("get %s: %v in %s", where, err, text)
	}
}
