// Sends standard input with net/smtp: HOST PORT MECHANISM USER PASSWORD SENDER RECIPIENT.
// Ends with 0; with 77 where the login was refused; with 1 for other trouble.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/smtp"
	"net/textproto"
	"os"
)

func check(err error) {
	if err == nil {
		return
	}
	fmt.Println(err)
	if refusal, ok := err.(*textproto.Error); ok && refusal.Code == 535 {
		os.Exit(77)
	}
	os.Exit(1)
}

func main() {
	host, port, mechanism := os.Args[1], os.Args[2], os.Args[3]
	user, password, sender, recipient := os.Args[4], os.Args[5], os.Args[6], os.Args[7]
	client, err := smtp.Dial(host + ":" + port)
	check(err)
	check(client.StartTLS(&tls.Config{ServerName: host, InsecureSkipVerify: true}))
	if mechanism == "CRAM-MD5" {
		check(client.Auth(smtp.CRAMMD5Auth(user, password)))
	} else {
		check(client.Auth(smtp.PlainAuth("", user, password, host)))
	}
	check(client.Mail(sender))
	check(client.Rcpt(recipient))
	content, err := client.Data()
	check(err)
	_, err = io.Copy(content, os.Stdin)
	check(err)
	check(content.Close())
	check(client.Quit())
}
