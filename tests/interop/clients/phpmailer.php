<?php
// Sends with PHPMailer: HOST PORT MECHANISM USER PASSWORD SENDER RECIPIENT SUBJECT; the body comes
// on standard input. Ends with 0; with 77 where the login was refused; with 1 for other trouble.
require '/usr/share/php/libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\Exception;
use PHPMailer\PHPMailer\OAuthTokenProvider;
use PHPMailer\PHPMailer\PHPMailer;

class Token implements OAuthTokenProvider
{
    public function __construct(private string $user, private string $token) {}

    public function getOauth64()
    {
        return base64_encode("user={$this->user}\001auth=Bearer {$this->token}\001\001");
    }
}

[, $host, $port, $mechanism, $user, $password, $sender, $recipient, $subject] = $argv;
$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = $host;
$mail->Port = (int) $port;
$mail->SMTPSecure = PHPMailer::ENCRYPTION_STARTTLS;
$mail->SMTPOptions = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];
$mail->SMTPAuth = true;
$mail->AuthType = $mechanism;
$mail->Username = $user;
$mail->Password = $password;
if ($mechanism === 'XOAUTH2') {
    $mail->setOAuth(new Token($user, $password));
}
$mail->setFrom($sender);
$mail->addAddress($recipient);
$mail->Subject = $subject;
$mail->Body = stream_get_contents(STDIN);
try {
    $mail->send();
} catch (Exception $trouble) {
    echo $trouble->getMessage(), "\n";
    exit(str_contains($trouble->getMessage(), 'Could not authenticate') ? 77 : 1);
}
