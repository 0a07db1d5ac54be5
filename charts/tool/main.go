// Command tool checks what the chart renders.
//
//	tool check FILE…             every manifest: strictly typed, valid, with rights, selectors and pods as they should be
//	tool upstream FOLDER FILE    the CRDs in FILE, of FOLDER's groups, are those in FOLDER, but for descriptions
//	tool schema FILE             prints values.schema.json, with the schema of ProxyClass from the CRD in FILE
//	tool only crds|others|all    copies manifests from stdin to stdout, those that are CRDs or those that are not
//
// FILE holds YAML documents.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("usage: tool check FILE… | upstream FOLDER FILE | schema FILE | only crds|others|all")
	}
	switch command, rest := arguments[0], arguments[1:]; command {
	case "check":
		var problems []error
		for _, file := range rest {
			if err := checkFile(file); err != nil {
				problems = append(problems, fmt.Errorf("%s:\n%w", file, err))
			}
		}
		return errors.Join(problems...)
	case "upstream":
		return compareUpstream(rest[0], rest[len(rest)-1])
	case "schema":
		return printSchema(rest[0], os.Stdout)
	case "only":
		return copyOnly(rest[0], os.Stdin, os.Stdout)
	default:
		return fmt.Errorf("unknown command %s", command)
	}
}

// checkFile applies all rules to the manifests of one rendering.
func checkFile(file string) error {
	set, err := read(file)
	if err != nil {
		return err
	}
	var problems []error
	problems = append(problems, checkDefinitions(set)...)
	problems = append(problems, checkCustom(set)...)
	problems = append(problems, checkRights(set)...)
	problems = append(problems, checkPods(set)...)
	problems = append(problems, checkReferences(set)...)
	return errors.Join(problems...)
}
