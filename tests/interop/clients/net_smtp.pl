# Sends standard input with Net::SMTP: HOST PORT MECHANISM USER PASSWORD SENDER RECIPIENT.
# Ends with 0; with 77 where the login was refused; with another status for other trouble.
use strict;
use warnings;
use Authen::SASL;
use Net::SMTP;
my ($host, $port, $mechanism, $user, $password, $sender, $recipient) = @ARGV;
my $smtp = Net::SMTP->new($host, Port => $port, Timeout => 30) or die "no connection: $@";
$smtp->starttls(SSL_verify_mode => 0) or die 'no TLS: ' . $smtp->message;
my $sasl = Authen::SASL->new(
    mechanism => $mechanism,
    callback  => { user => $user, authname => '', pass => $password },
);
if (!$smtp->auth($sasl)) {
    print $smtp->code, ' ', $smtp->message;
    exit($smtp->code == 535 ? 77 : 1);
}
$smtp->mail($sender) && $smtp->to($recipient) or die $smtp->message;
$smtp->data(do { local $/; <STDIN> }) or die $smtp->message;
$smtp->quit;
