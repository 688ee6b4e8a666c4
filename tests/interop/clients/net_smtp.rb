# Sends standard input with net/smtp: HOST PORT MECHANISM USER PASSWORD SENDER RECIPIENT.
# Ends with 0; with 77 where the login was refused; with 1 for other trouble.
require 'net/smtp'
require 'openssl'

host, port, mechanism, user, password, sender, recipient = ARGV
smtp = Net::SMTP.new(host, port.to_i)
context = OpenSSL::SSL::SSLContext.new
context.verify_mode = OpenSSL::SSL::VERIFY_NONE
smtp.enable_starttls(context)
begin
  smtp.start('client.example', user, password, mechanism.downcase.tr('-', '_').to_sym) do |session|
    session.send_message($stdin.binmode.read, sender, recipient)
  end
rescue Net::SMTPAuthenticationError => e
  puts e.message
  exit 77
end
