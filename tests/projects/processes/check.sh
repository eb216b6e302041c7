echo "checking $1, with FLAVOUR=$FLAVOUR"
test -f added.txt && cat added.txt
