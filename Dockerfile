FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin im-push-gateway

FROM debian:bookworm-slim
# The public certificate authorities, for callbacks and an archive behind https; the slim image has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /build/target/release/im-push-gateway /usr/local/bin/
# Where files go unless a setting says otherwise. A volume put there has this owner.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/im-push-gateway
WORKDIR /var/lib/im-push-gateway
# In a container, loopback is nobody's address. Everything else comes from the environment or a mounted file.
ENV IMPG_LISTEN=0.0.0.0:8080 IMPG_METRICS_LISTEN=0.0.0.0:9090
EXPOSE 8080 9090
# A number, so that Kubernetes can see for itself that it is not root.
USER 10001:10001
ENTRYPOINT ["im-push-gateway"]
CMD ["serve"]
