# Starts a dockerd in the guest and gives it the images of the tests. Read by guest.sh.

dockerd >/run/dockerd.log 2>&1 &
dockerd=$!
until docker version >/dev/null 2>&1; do
    if ! kill -0 $dockerd 2>/dev/null; then
        tail -n 20 /run/dockerd.log
        echo "guest: dockerd ended"
        return 1
    fi
    sleep 0.2
done
docker load --quiet --input "$images"
