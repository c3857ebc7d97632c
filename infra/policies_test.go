package infra

// How: the table below says what each role does in the bucket. Each policy is read strictly and
// must come to that table, no less and no more. With FOZ_S3 (a bucket on a MinIO server, with
// root credentials in the environment: see localdev/with-minio) the same table is tried: each
// role gets credentials that carry its policy, and asks for everything everywhere.

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/objectstore/s3"
)

// may is what a role does with objects, by the first part of their keys: g(et), p(ut: create),
// d(elete). Every role lists, all of the bucket: a node's first question is whether it is there.
var may = map[string]map[string]string{
	"metadata": {"log": "gpd", "snap": "gpd", "probe": "gpd"},
	// Ingest reads back what it uploaded, after an answer that was lost.
	"ingest": {"log": "g", "snap": "g", "data": "gp"},
	"reader": {"log": "g", "snap": "g", "data": "g"},
	// The compactor asks the store for the time: the date of a small object.
	"compactor": {"log": "g", "snap": "g", "data": "gpd", "probe": "pd"},
}

var actions = map[string]string{"s3:GetObject": "g", "s3:PutObject": "p", "s3:DeleteObject": "d"}

const bucketARN = "arn:aws:s3:::foz-example"

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid, Effect string
	Principal   string `json:",omitempty"`
	Action      []string
	Resource    []string
	Condition   map[string]map[string]string `json:",omitempty"`
}

func readPolicy(t *testing.T, name string) (p policy) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(read(t, "policies/"+name+".json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("policy %s: %v", name, err)
	}
	if p.Version != "2012-10-17" {
		t.Errorf("policy %s: version %s", name, p.Version)
	}
	return p
}

// grants comes to the form of may; list is whether the bucket may be listed.
func (p policy) grants() (granted map[string]string, list bool, err error) {
	granted = map[string]string{}
	for _, s := range p.Statement {
		if s.Effect != "Allow" || s.Principal != "" || s.Condition != nil {
			return nil, false, fmt.Errorf("statement %s does more than allow", s.Sid)
		}
		if slices.Equal(s.Action, []string{"s3:ListBucket"}) {
			list = slices.Equal(s.Resource, []string{bucketARN})
			continue
		}
		for _, resource := range s.Resource {
			top, ok := strings.CutPrefix(resource, bucketARN+"/")
			top, below := strings.CutSuffix(top, "/*")
			if !ok || !below || strings.ContainsAny(top, "*?/") {
				return nil, false, fmt.Errorf("statement %s: resource %s", s.Sid, resource)
			}
			for _, action := range s.Action {
				letter, known := actions[action]
				if !known || strings.Contains(granted[top], letter) {
					return nil, false, fmt.Errorf("statement %s: action %s on %s", s.Sid, action, top)
				}
				granted[top] += letter
			}
		}
	}
	return granted, list, nil
}

func TestPolicies(t *testing.T) {
	for role, want := range may {
		got, list, err := readPolicy(t, role).grants()
		if err != nil || !list || !maps.Equal(got, want) {
			t.Errorf("policy %s grants %v, lists %v (%v), want %v", role, got, list, err, want)
		}
	}
	files, err := filepath.Glob("policies/*.json")
	if err != nil || len(files) != len(may)+1 { // and that of the bucket
		t.Errorf("policies: %v (%v), want one for each of %v", files, err, may)
	}
}

// TestBucketPolicy: what nobody may do, whatever their role is allowed.
func TestBucketPolicy(t *testing.T) {
	want := []statement{
		{
			Sid: "OnlyTLS", Effect: "Deny", Principal: "*", Action: []string{"s3:*"},
			Resource:  []string{bucketARN, bucketARN + "/*"},
			Condition: map[string]map[string]string{"Bool": {"aws:SecureTransport": "false"}},
		},
		{
			Sid: "NothingIsOverwritten", Effect: "Deny", Principal: "*",
			Action:   []string{"s3:PutObject"},
			Resource: []string{bucketARN + "/log/*", bucketARN + "/snap/*", bucketARN + "/data/*"},
			Condition: map[string]map[string]string{
				"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"},
			},
		},
	}
	if got := readPolicy(t, "bucket-aws"); !reflect.DeepEqual(got.Statement, want) {
		t.Errorf("bucket-aws.json: %+v, want %+v", got.Statement, want)
	}
}

func TestPoliciesOnMinIO(t *testing.T) {
	if os.Getenv("FOZ_S3") == "" {
		t.Skip("FOZ_S3 is not set: no MinIO server to try the policies on")
	}
	u, err := url.Parse(os.Getenv("FOZ_S3"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/policies-" + rand.Text()
	root := openS3(t, u)
	t.Cleanup(func() { empty(t, root) })
	tops := []string{"log", "snap", "probe", "data", "elsewhere"}
	for _, top := range tops {
		for role := range may {
			for _, name := range []string{"there", "doomed"} {
				if _, err := root.Create(t.Context(), top+"/"+role+"-"+name, []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for role := range may {
		t.Run(role, func(t *testing.T) {
			assume(t, u, role)
			s := openS3(t, u)
			for _, top := range tops {
				try(t, s, role, top)
			}
		})
	}
}

// try asks for everything at one place, and compares the answers with the table.
func try(t *testing.T, s objectstore.Store, role, top string) {
	ctx, at := t.Context(), top+"/"+role+"-"
	_, create := s.Create(ctx, at+"new", []byte("x"))
	_, get := s.Get(ctx, at+"there", 0, -1)
	remove := s.Delete(ctx, at+"doomed")
	for letter, err := range map[string]error{"p": create, "g": get, "d": remove} {
		allowed := strings.Contains(may[role][top], letter)
		denied := err != nil && strings.Contains(err.Error(), "AccessDenied")
		if allowed && err != nil || !allowed && !denied {
			t.Errorf("%s on %s: allowed is %v, and it answered: %v", letter, top, allowed, err)
		}
	}
	if _, _, err := s.List(ctx, top+"/", "", 1); err != nil {
		t.Errorf("list %s: %v", top, err)
	}
}

// empty removes what the test left. An error is one of the test, for the next to see.
func empty(t *testing.T, s objectstore.Store) {
	ctx := context.WithoutCancel(t.Context())
	page, _, err := s.List(ctx, "", "", 0)
	for _, o := range page {
		if err == nil {
			err = s.Delete(ctx, o.Key)
		}
	}
	if err != nil {
		t.Errorf("empty the bucket: %v", err)
	}
}

func openS3(t *testing.T, u *url.URL) objectstore.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(io.Closer).Close() })
	return s
}

// assume puts into the environment credentials that may do only what the role's policy says,
// in place of root's. The policy is about the bucket and prefix of u.
func assume(t *testing.T, u *url.URL, role string) {
	t.Helper()
	p := readPolicy(t, role)
	for i, s := range p.Statement {
		for j, resource := range s.Resource {
			s.Resource[j] = strings.Replace(resource, bucketARN+"/", "arn:aws:s3:::"+u.Host+u.Path+"/", 1)
			if resource == bucketARN {
				s.Resource[j] = "arn:aws:s3:::" + u.Host
			}
		}
		p.Statement[i] = s
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	key, secret, token := assumeRole(t, u.Query().Get("endpoint"), string(text))
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", token)
}

// assumeRole asks MinIO for credentials of an hour that a policy confines.
func assumeRole(t *testing.T, endpoint, policy string) (key, secret, token string) {
	t.Helper()
	body := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"},
		"DurationSeconds": {"3600"}, "Policy": {policy}}.Encode()
	req, err := http.NewRequestWithContext(t.Context(), "POST", endpoint+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sign(req, body, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("assume role: %s %s (%v)", resp.Status, text, err)
	}
	var answer struct {
		Credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
		} `xml:"AssumeRoleResult>Credentials"`
	}
	if err := xml.Unmarshal(text, &answer); err != nil {
		t.Fatalf("assume role: %v in %s", err, text)
	}
	c := answer.Credentials
	return c.AccessKeyID, c.SecretAccessKey, c.SessionToken
}

// sign is AWS's signature, version 4, of a form sent to the token service.
func sign(req *http.Request, body, key, secret string) {
	const headers = "content-type;host;x-amz-date"
	now := time.Now().UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Amz-Date", stamp)
	scope := day + "/us-east-1/sts/aws4_request"
	canonical := strings.Join([]string{"POST", "/", "",
		"content-type:application/x-www-form-urlencoded", "host:" + req.URL.Host,
		"x-amz-date:" + stamp, "", headers, hash(body)}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hash(canonical)}, "\n")
	sum := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), toSign) {
		mac := hmac.New(sha256.New, sum)
		mac.Write([]byte(part))
		sum = mac.Sum(nil)
	}
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, "+
		"SignedHeaders=%s, Signature=%x", key, scope, headers, sum))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
