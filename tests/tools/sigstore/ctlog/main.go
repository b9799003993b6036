// A certificate transparency log as far as a CA sees it: it takes a
// precertificate and answers with a signed certificate timestamp (RFC 6962,
// section 3.2), made with the library of the public logs. It keeps nothing, so
// nobody can ask it for an entry or a proof; verifiers of a Fulcio certificate
// do not.
//
//	ctlog HOST:PORT KEY.pem (ECDSA P-256, PKCS #8)
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	stdx509 "crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509"
)

const bodyLimit = 1 << 20

type ctLog struct {
	key *ecdsa.PrivateKey
	id  [sha256.Size]byte
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: ctlog HOST:PORT KEY.pem")
	}
	opened, err := open(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ct/v1/add-pre-chain", opened.addPreChain)
	server := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func open(path string) (*ctLog, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	parsed, err := stdx509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an ECDSA key", path)
	}
	public, err := stdx509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return &ctLog{key: key, id: sha256.Sum256(public)}, nil
}

func (l *ctLog) addPreChain(w http.ResponseWriter, r *http.Request) {
	var request ct.AddChainRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit)).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := l.promise(request.Chain)
	if err != nil {
		log.Print(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		log.Print(err)
	}
}

func (l *ctLog) promise(raw [][]byte) (*ct.AddChainResponse, error) {
	chain := make([]*x509.Certificate, 0, len(raw))
	for _, der := range raw {
		certificate, err := x509.ParseCertificate(der)
		if x509.IsFatal(err) {
			return nil, err
		}
		chain = append(chain, certificate)
	}
	now := uint64(time.Now().UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromChain(chain, ct.PrecertLogEntryType, now)
	if err != nil {
		return nil, err
	}
	timestamp := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: l.id}, Timestamp: now}
	signed, err := ct.SerializeSCTSignatureInput(timestamp, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	var key crypto.PrivateKey = *l.key
	signature, err := tls.CreateSignature(key, tls.SHA256, signed)
	if err != nil {
		return nil, err
	}
	encoded, err := tls.Marshal(signature)
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: l.id[:], Timestamp: now, Signature: encoded}, nil
}
