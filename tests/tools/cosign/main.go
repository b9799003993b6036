// The command line of cosign without key stores of clouds, whose libraries take
// minutes to compile: the tests sign with key files and with a private Sigstore.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/sigstore/cosign/v3/cmd/cosign/cli"
	failure "github.com/sigstore/cosign/v3/cmd/cosign/errors"
)

func main() {
	err := cli.New().Execute()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	var coded *failure.CosignError
	if errors.As(err, &coded) {
		os.Exit(coded.ExitCode())
	}
	os.Exit(1)
}
