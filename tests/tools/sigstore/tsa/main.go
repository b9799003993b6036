// A timestamp authority (RFC 3161) made of the parts of Sigstore's. Its own
// server cannot be had twice on one machine (a fixed port for metrics, on every
// address), and tells no time but the true one; tests want to know what a
// verifier says to a timestamp from outside of a certificate's validity.
//
//	tsa HOST:PORT
//
//	POST /api/v1/timestamp           a timestamp of now
//	POST /shifted/1h/api/v1/timestamp   a timestamp of an hour from now (any Go duration)
//	GET  /api/v1/timestamp/certchain
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/timestamp-authority/v2/pkg/signer"
)

const bodyLimit = 1 << 20

// Sigstore's.
var policy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}

type authority struct {
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: tsa HOST:PORT")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := signer.NewTimestampingCertWithChain(key)
	if err != nil {
		log.Fatal(err)
	}
	tsa := &authority{key: key, chain: chain}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/timestamp/certchain", tsa.certificates)
	mux.HandleFunc("POST /api/v1/timestamp", tsa.stamp)
	mux.HandleFunc("POST /shifted/{by}/api/v1/timestamp", tsa.stamp)
	server := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (a *authority) certificates(w http.ResponseWriter, _ *http.Request) {
	text, err := cryptoutils.MarshalCertificatesToPEM(a.chain)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	_, _ = w.Write(text)
}

func (a *authority) stamp(w http.ResponseWriter, r *http.Request) {
	answer, err := a.answer(http.MaxBytesReader(w, r.Body, bodyLimit), r.PathValue("by"))
	if err != nil {
		log.Print(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	_, _ = w.Write(answer)
}

func (a *authority) answer(body io.Reader, by string) ([]byte, error) {
	shift := time.Duration(0)
	if by != "" {
		parsed, err := time.ParseDuration(by)
		if err != nil {
			return nil, err
		}
		shift = parsed
	}
	query, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	request, err := timestamp.ParseRequest(query)
	if err != nil {
		return nil, err
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm:     request.HashAlgorithm,
		HashedMessage:     request.HashedMessage,
		Time:              time.Now().Add(shift).UTC(),
		Accuracy:          time.Second,
		Nonce:             request.Nonce,
		Policy:            policy,
		AddTSACertificate: request.Certificates,
	}
	return stamp.CreateResponseWithOpts(a.chain[0], a.key, crypto.SHA256)
}
