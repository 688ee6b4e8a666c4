// Sends standard input with Jakarta Mail: HOST PORT MECHANISM USER PASSWORD SENDER RECIPIENT.
// Ends with 0; with 77 where the login was refused; with 1 for other trouble.

import jakarta.mail.Address;
import jakarta.mail.AuthenticationFailedException;
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.util.Properties;

public class JakartaMail {
    public static void main(String[] given) throws Exception {
        Properties properties = new Properties();
        properties.put("mail.smtp.auth.mechanisms", given[2]);
        properties.put("mail.smtp.auth", "true");
        properties.put("mail.smtp.starttls.required", "true");
        properties.put("mail.smtp.ssl.trust", "*");
        properties.put("mail.smtp.from", given[5]);
        Session session = Session.getInstance(properties);
        MimeMessage message = new MimeMessage(session, System.in);
        try (Transport transport = session.getTransport("smtp")) {
            transport.connect(given[0], Integer.parseInt(given[1]), given[3], given[4]);
            transport.sendMessage(message, new Address[] {new InternetAddress(given[6])});
        } catch (AuthenticationFailedException refusal) {
            System.out.println(refusal.getMessage());
            System.exit(77);
        }
    }
}
