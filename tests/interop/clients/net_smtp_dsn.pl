# Sends standard input with Net::SMTP and asks for reports:
# HOST PORT USER PASSWORD SENDER RECIPIENT RET ENVID NOTIFY (with commas between).
use strict;
use warnings;
use Authen::SASL;
use Net::SMTP;
my ($host, $port, $user, $password, $sender, $recipient, $ret, $envid, $notify) = @ARGV;
my $smtp = Net::SMTP->new($host, Port => $port, Timeout => 30) or die "no connection: $@";
$smtp->starttls(SSL_verify_mode => 0) or die 'no TLS: ' . $smtp->message;
die 'DSN is not offered' unless defined $smtp->supports('DSN');
my $sasl = Authen::SASL->new(
    mechanism => 'PLAIN',
    callback  => { user => $user, authname => '', pass => $password },
);
$smtp->auth($sasl) or die $smtp->message;
$smtp->mail($sender, Return => $ret, ENVID => $envid) or die $smtp->message;
$smtp->to($recipient, { Notify => [split /,/, $notify], ORcpt => "rfc822;$recipient" })
    or die $smtp->message;
$smtp->data(do { local $/; <STDIN> }) or die $smtp->message;
$smtp->quit;
